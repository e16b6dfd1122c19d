"""Imports go one way, each framework stays in its files, and importing does nothing but import."""

import ast
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Iterable
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

from tests.project.rooms import (
    ENTRIES,
    FRAMEWORKS,
    MAY_IMPORT,
    PACKAGES,
    PROJECT,
    all_names,
    imported_names,
    imports,
    imports_by_text,
    room_of,
    rooms,
    sources,
)

# What search_spaces and trainers do without.
ABSENT = (
    "ray",
    "mlflow",
    "optuna",
    "sqlalchemy",
    "hydra",
    "omegaconf",
    "numba",
    "triton",
    "sklearn",
    "plotly",
    "matplotlib",
    "jinja2",
    "pyarrow",
    "rich",
    "nas",
    "cluster",
)

# The backends of Numba and Triton: loaded when they are used, and only there.
COMPILED_BACKENDS = {
    "search_spaces.attention.kernels",
    "search_spaces.attention.kernels_backward",
    "search_spaces.attention.compiled",
    "search_spaces.attention.simd",
    "search_spaces.attention.triton_attention",
    "search_spaces.attention.triton_kernels",
    "search_spaces.attention.triton_kernels_backward",
    "search_spaces.attention.triton_stem",
    "search_spaces.attention.triton_stem_kernels",
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
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            # There are wheels of it for few machines; nothing else may be missing.
            if error.name != "triton":
                raise
        print(module.name)
after = state()
changed = [name for name in before if before[name] != after[name]]
if changed:
    raise SystemExit(f"importing changed: {changed}")
"""


def test_imported_names_are_found_wherever_they_stand() -> None:
    source = "import a.b\nfrom c import d\ndef f():\n    from .e import g\nif TYPE_CHECKING:\n    import h as i"
    assert imported_names(source, "p") == {"a.b", "c", "c.d", "p.e", "p.e.g", "h"}
    higher = "from .. import a\nfrom ...b.c import d\nfrom . import e"
    assert imported_names(higher, "p.q.r") == {"p.q", "p.q.a", "p.b.c", "p.b.c.d", "p.q.r", "p.q.r.e"}
    assert imports_by_text("importlib.import_module('ray')\n__import__(x)\nprint(1)") == {"import_module", "__import__"}


def test_every_room_stands_in_the_table() -> None:
    assert rooms() == set(MAY_IMPORT)
    assert {room_of(module) for module in sources()} <= set(MAY_IMPORT) | {"nas"}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_what_it_may_and_may_import_what_it_does(room: str) -> None:
    importers = {module: names for module, names in imports().items() if room_of(module) == room}
    for module, names in importers.items():
        assert {room_of(name) for name in names} <= MAY_IMPORT[room] | {room}, module
    assert {room_of(name) for names in importers.values() for name in names} - {room} == MAY_IMPORT[room]


def test_no_imports_go_round_in_a_circle() -> None:
    # Raises CycleError, which names the circle.
    assert list(TopologicalSorter(imports()).static_order())
    # The attention core and what is built around it are one room in two folders.
    whole = {room: {other for other in others if other != "search_spaces"} for room, others in MAY_IMPORT.items()}
    assert list(TopologicalSorter(whole).static_order())


def test_nothing_imports_an_entry_script() -> None:
    for module, names in imports().items():
        assert not names & set(ENTRIES), module


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_framework_is_seen_where_it_may_be(framework: str) -> None:
    places = set()
    for module, path in sources().items():
        if framework in top_level(all_names()[module]):
            file, folder = path.relative_to(PROJECT).as_posix(), path.parent.relative_to(PROJECT).as_posix()
            assert {file, folder} & FRAMEWORKS[framework], f"{file} imports {framework}"
            places |= {file, folder} & FRAMEWORKS[framework]
    assert places == FRAMEWORKS[framework]


def test_no_import_is_hidden_in_a_text() -> None:
    hidden = [path for path in sources().values() if imports_by_text(path.read_text(encoding="utf-8"))]
    # It asks for what an extra of the project installs.
    assert [path.relative_to(PROJECT).as_posix() for path in hidden] == ["trainers/bundle/onnx_export.py"]


def test_every_framework_stands_in_the_table() -> None:
    """But what comes with torch, and is seen wherever torch is: arrays and images."""
    everywhere = {"numpy", "PIL", "threadpoolctl", "yaml"}
    for module, path in sources().items():
        seen = top_level(all_names()[module])
        assert seen <= sys.stdlib_module_names | FRAMEWORKS.keys() | everywhere | set(PACKAGES), path


def test_all_code_stands_in_a_package() -> None:
    assert not list(PROJECT.glob("*.py"))


# What it exports is what it is for.
FACE = "vision_architecture_search"


@pytest.mark.parametrize("room", sorted(rooms() - {*ENTRIES, FACE}))
def test_a_room_says_what_it_is_for_and_exports_nothing(room: str) -> None:
    tree = ast.parse((PROJECT / room.replace(".", "/") / "__init__.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree) and len(tree.body) == 1


def top_level(names: Iterable[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def modules_imported(program: str, package: str, *arguments: str, **options: Any) -> set[str]:
    command = [sys.executable, "-c", program, package, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def modules_of(package: str) -> set[str]:
    paths = (path.relative_to(PROJECT) for path in (PROJECT / package).rglob("*.py") if path.stem != "__init__")
    return {".".join(path.with_suffix("").parts) for path in paths}


@pytest.mark.parametrize("package", ["search_spaces", "trainers", FACE])
def test_loads_with_torch_and_torchvision_alone(package: str) -> None:
    imported = modules_imported(IMPORT_WITHOUT, package, " ".join(COMPILED_BACKENDS), *ABSENT, cwd=PROJECT)
    assert imported == modules_of(package) - COMPILED_BACKENDS


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


# What reads and decides without the frameworks that run a search. Optuna's sampler is an adapter of the strategy's.
LIGHT = [
    module
    for module in sources()
    if room_of(module) in ("nas.records", "nas.strategy")
    or (room_of(module) == "nas.settings" and module.endswith("_settings"))
]


@pytest.mark.parametrize("module", ["nas.records", "nas.settings", "nas.strategy"])
def test_records_settings_and_strategy_load_no_framework_of_a_search(module: str) -> None:
    modules = [name for name in LIGHT if name.startswith(module) and name != "nas.strategy.optuna_sampler"]
    program = f"import sys, {', '.join(modules)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=PROJECT)
    loaded = set(result.stdout.split())
    assert "nas" in loaded and not loaded & {"torch", "ray", "mlflow", "plotly", "matplotlib", "optuna", "hydra"}


def test_the_face_loads_what_is_heavy_when_it_is_called() -> None:
    program = f"import sys, {FACE}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=PROJECT)
    loaded = set(result.stdout.split())
    assert "trainers" in loaded and not loaded & {"torch", "torchvision", "numpy", "pandas", "scipy", *ABSENT}


@pytest.mark.parametrize("package", ["search_spaces", "trainers", FACE])
def test_importing_has_no_side_effects(package: str, tmp_path: Path) -> None:
    places = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment = os.environ | places | {"PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"}
    assert modules_imported(IMPORT_AND_COMPARE, package, cwd=tmp_path, env=environment) == modules_of(package)


@pytest.mark.parametrize("package", ["nas", "trainers"])
def test_no_module_shadows_another(package: str) -> None:
    # `python nas/search.py` puts nas/ first on sys.path, so that nas/logging.py would be found as `logging`.
    taken = sys.stdlib_module_names | importlib.metadata.packages_distributions().keys() | set(PACKAGES)
    names = {path.stem for path in (PROJECT / package).iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not names & taken
