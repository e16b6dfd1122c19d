"""Imports go one way, each framework stays in its files, and importing does nothing but import."""

import ast
import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]

# A package, and the packages of this project that it may import.
MAY_IMPORT = {
    "search_spaces": {"search_spaces"},
    "trainers": {"trainers", "search_spaces"},
    "cluster": {"cluster", "trainers", "search_spaces"},
    "nas": {"nas", "cluster", "trainers", "search_spaces"},
}

ENTRY_SCRIPTS = {"nas.search", "nas.export", "nas.report", "trainers.train"}

# A framework, and every file that imports it.
FRAMEWORK_FILES = {
    "hydra": {"nas/settings/compose.py"},
    "omegaconf": {"nas/settings/compose.py"},
    "jinja2": {"nas/reporting/page.py"},
    "mlflow": {"nas/tracking/model_registry.py", "nas/tracking/tracker.py"},
    "optuna": {
        "nas/reporting/importance.py",
        "nas/strategy/optuna_sampler.py",
        "nas/ledger/database.py",
        "nas/ledger/ledger.py",
        "nas/ledger/trial_codec.py",
        "nas/ledger/optuna_samplers.py",
    },
    "ray": {
        "cluster/node_checks.py",
        "nas/workers/asha.py",
        "nas/workers/front_measurement.py",
        "nas/workers/ray_cluster.py",
        "nas/workers/scheduler.py",
        "nas/workers/searcher.py",
        "nas/workers/trial.py",
        "nas/workers/tuner.py",
    },
    "numba": {"search_spaces/attention/kernels.py", "search_spaces/attention/simd.py"},
    "plotly": {
        "nas/reporting/choice_figures.py",
        "nas/reporting/figures.py",
        "nas/reporting/front_figure.py",
        "nas/reporting/page.py",
    },
    "matplotlib": {"nas/reporting/pictures.py"},
    "sklearn": {"trainers/data/memory_sets.py"},
    "sqlalchemy": {"nas/ledger/database.py"},
    "torchvision": {"trainers/data/torchvision_import.py"},
}

# What search_spaces and trainers do without.
ABSENT = (
    "ray",
    "mlflow",
    "optuna",
    "sqlalchemy",
    "hydra",
    "omegaconf",
    "numba",
    "sklearn",
    "plotly",
    "matplotlib",
    "jinja2",
    "rich",
)

# The Numba backend: loaded when it is used, and only there.
NUMBA_BACKEND = {
    "search_spaces.attention.kernels",
    "search_spaces.attention.kernels_backward",
    "search_spaces.attention.compiled",
    "search_spaces.attention.simd",
}

IMPORT_WITHOUT = """
import importlib, pkgutil, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"{name} is absent", name=name)

package, without, *absent = sys.argv[1:]
sys.meta_path.insert(0, Absent())
for name in absent:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        continue
    raise SystemExit(f"{name} could be imported")
for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
    if module.name not in without.split() and not module.ispkg:
        importlib.import_module(module.name)
        print(module.name)
"""

IMPORT_AND_COMPARE = """
import importlib, os, pkgutil, sys, threading
from pathlib import Path
import numpy, safetensors.torch, torch

def state():
    return {
        "environment": dict(os.environ),
        "threads": [thread.name for thread in threading.enumerate()],
        "files": sorted(map(str, Path.cwd().rglob("*"))),
        "random state": torch.random.get_rng_state().tolist(),
        "torch threads": torch.get_num_threads(),
        "working directory": os.getcwd(),
    }

before = state()
package = sys.argv[1]
for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
    if not module.ispkg:
        importlib.import_module(module.name)
        print(module.name)
after = state()
changed = [name for name in before if before[name] != after[name]]
if changed:
    raise SystemExit(f"importing changed: {changed}")
"""


def sources(package: str) -> list[Path]:
    files = sorted((PROJECT / package).rglob("*.py"))
    assert files, f"{package} has no modules"
    return files


def imported_names(source: str, package: str) -> set[str]:
    """Every name that an import statement anywhere in `source` could bind a module to, written from the top level."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = ".".join(filter(None, [package if node.level else "", node.module]))
            names.add(module)
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return names


def top_level(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def test_imported_names_are_found_wherever_they_stand() -> None:
    source = "import a.b\nfrom c import d\ndef f():\n    from .e import g\nif TYPE_CHECKING:\n    import h as i"
    assert imported_names(source, "p") == {"a.b", "c", "c.d", "p.e", "p.e.g", "h"}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_go_one_way(package: str) -> None:
    for path in sources(package):
        imported = top_level(imported_names(path.read_text(encoding="utf-8"), package))
        assert imported & set(MAY_IMPORT) <= MAY_IMPORT[package], path


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_nothing_imports_an_entry_script(package: str) -> None:
    for path in sources(package):
        assert not imported_names(path.read_text(encoding="utf-8"), package) & ENTRY_SCRIPTS, path


def test_each_framework_stays_in_its_files() -> None:
    importers: dict[str, set[str]] = {framework: set() for framework in FRAMEWORK_FILES}
    for package in MAY_IMPORT:
        for path in sources(package):
            for name in top_level(imported_names(path.read_text(encoding="utf-8"), package)) & set(FRAMEWORK_FILES):
                importers[name].add(path.relative_to(PROJECT).as_posix())
    assert importers == FRAMEWORK_FILES


def modules_imported(program: str, package: str, *arguments: str, **options: object) -> set[str]:
    command = [sys.executable, "-c", program, package, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)  # type: ignore[call-overload]
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def modules_of(package: str) -> set[str]:
    paths = (path.relative_to(PROJECT) for path in (PROJECT / package).rglob("*.py") if path.stem != "__init__")
    return {".".join(path.with_suffix("").parts) for path in paths}


@pytest.mark.parametrize("package", ["search_spaces", "trainers"])
def test_loads_with_torch_and_torchvision_alone(package: str) -> None:
    imported = modules_imported(IMPORT_WITHOUT, package, " ".join(NUMBA_BACKEND), *ABSENT, cwd=PROJECT)
    assert imported == modules_of(package) - NUMBA_BACKEND


# What a record of a search is made of: plain data, which costs next to nothing to import.
PLAIN_DATA = (
    "search_spaces.architecture",
    "search_spaces.canonical_json",
    "search_spaces.cost",
    "search_spaces.json_fields",
    "search_spaces.operator_choices",
    "search_spaces.overrides",
    "search_spaces.space",
    "search_spaces.space_cost",
    "search_spaces.space_reading",
    "trainers.data.config",
    "trainers.epoch_result",
    "trainers.inference_cost",
    "trainers.recipe",
)


@pytest.mark.parametrize("module", PLAIN_DATA)
def test_plain_data_loads_no_framework(module: str) -> None:
    program = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=PROJECT)
    heavy = {"numpy", "PIL", "safetensors", "scipy", "sklearn", "torch", "torchvision", *ABSENT}
    assert not heavy & set(result.stdout.split())


@pytest.mark.parametrize("package", ["search_spaces", "trainers"])
def test_importing_has_no_side_effects(package: str, tmp_path: Path) -> None:
    places = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment = os.environ | places | {"PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"}
    assert modules_imported(IMPORT_AND_COMPARE, package, cwd=tmp_path, env=environment) == modules_of(package)


@pytest.mark.parametrize("package", ["nas", "trainers"])
def test_no_module_shadows_another(package: str) -> None:
    # `python nas/search.py` puts nas/ first on sys.path, so that nas/logging.py would be found as `logging`.
    taken = sys.stdlib_module_names | importlib.metadata.packages_distributions().keys() | set(MAY_IMPORT)
    names = {path.stem for path in (PROJECT / package).iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not names & taken
