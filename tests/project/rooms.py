"""The rooms of the project: what each may import, and where each framework may be seen.

`test_import_boundaries.py` holds the code against these tables, `draw_rooms.py` draws `docs/architecture.md` from them.
"""

import ast
from functools import lru_cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
Named = ast.Name | ast.Attribute
PACKAGES = ("search_spaces", "trainers", "cluster", "nas", "vision_architecture_search")

# A room, and the other rooms that it may import. A package's own modules are a room, as are its sub-packages; the entry
# scripts stand for themselves. The attention core and what is built around it are one: each may import the other.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "search_spaces.attention": frozenset({"search_spaces"}),
    "search_spaces": frozenset({"search_spaces.attention"}),
    "trainers.pictures": frozenset(),
    "trainers.data": frozenset({"search_spaces", "trainers.pictures"}),
    # What one process has lost of a storage all of them hear of.
    "trainers": frozenset({"search_spaces", "search_spaces.attention", "trainers.data", "trainers.storage"}),
    "trainers.storage": frozenset({"search_spaces"}),
    "trainers.bundle": frozenset({"search_spaces", "trainers.pictures", "trainers.data", "trainers"}),
    "trainers.full": frozenset({"search_spaces", "trainers.data", "trainers", "trainers.bundle"}),
    "trainers.train": frozenset({"search_spaces", "trainers", "trainers.bundle", "trainers.full"}),
    "trainers.detection": frozenset(
        {
            "search_spaces", "search_spaces.attention", "trainers.data", "trainers", "trainers.bundle", "trainers.full",
        }
    ),
    "trainers.train_detector": frozenset(
        {"search_spaces", "trainers", "trainers.bundle", "trainers.detection", "trainers.full"}
    ),
    "trainers.comparison": frozenset({"search_spaces", "trainers.data", "trainers", "trainers.bundle"}),
    "trainers.compare": frozenset({"search_spaces", "trainers", "trainers.bundle", "trainers.comparison"}),
    "trainers.predict": frozenset({"search_spaces", "trainers.bundle", "trainers.detection"}),
    "cluster": frozenset({"search_spaces", "trainers.data", "trainers", "trainers.storage"}),
    "nas.records": frozenset({"search_spaces", "trainers.data", "trainers"}),
    # The settings of a search name what may be done about a node.
    "nas.settings": frozenset(
        {"search_spaces", "trainers.data", "trainers", "trainers.storage", "cluster", "nas.records"}
    ),
    "nas.strategy": frozenset({"search_spaces", "trainers.data", "nas.records"}),
    "nas.ledger": frozenset({"search_spaces", "trainers.data", "trainers", "nas.records", "nas.settings"}),
    "nas.reporting": frozenset({"search_spaces", "trainers.data", "nas.records"}),
    "nas.engine": frozenset(
        {"search_spaces", "trainers.data", "trainers", "nas.records", "nas.settings", "nas.strategy", "nas.ledger"}
    ),
    "nas.tracking": frozenset(
        {
            "search_spaces", "trainers.pictures", "trainers", "trainers.bundle", "trainers.detection",
            "nas.records", "nas.settings", "nas.strategy", "nas.ledger", "nas.reporting",
        }
    ),
    "nas.workers": frozenset(
        {
            "search_spaces", "trainers.data", "trainers", "trainers.storage", "cluster",
            "nas.records", "nas.settings", "nas.ledger", "nas.engine",
        }
    ),
    "nas.driver": frozenset(
        {
            "search_spaces", "trainers.data", "trainers", "trainers.storage", "trainers.bundle", "trainers.full",
            "trainers.detection", "nas.records", "nas.settings", "nas.strategy", "nas.ledger", "nas.reporting",
            "nas.engine", "nas.tracking", "nas.workers",
        }
    ),
    "nas.search": frozenset({"search_spaces", "nas.settings", "nas.workers", "nas.driver"}),
    "nas.export": frozenset(
        {
            "search_spaces", "trainers.storage", "trainers.bundle",
            "nas.records", "nas.settings", "nas.ledger", "nas.driver",
        }
    ),
    "nas.train_fully": frozenset({"search_spaces", "nas.settings", "nas.ledger", "nas.driver"}),
    "nas.train_on_ray": frozenset({"search_spaces", "trainers", "nas.settings", "nas.workers", "nas.driver"}),
    "nas.status": frozenset({"search_spaces", "nas.settings", "nas.ledger", "nas.driver"}),
    "nas.control": frozenset({"search_spaces", "nas.settings", "nas.driver"}),
    "nas.report": frozenset(
        {"search_spaces", "trainers.storage", "nas.settings", "nas.ledger", "nas.reporting", "nas.driver"}
    ),
    # What is used from Python. Whatever is of a search is imported where it is called.
    "vision_architecture_search": frozenset(
        {
            "search_spaces", "trainers.data", "trainers.bundle",
            "nas.records", "nas.settings", "nas.ledger", "nas.reporting", "nas.driver",
        }
    ),
}  # fmt: skip

ENTRIES = (
    "nas.search",
    "nas.export",
    "nas.report",
    "nas.status",
    "nas.control",
    "nas.train_fully",
    "nas.train_on_ray",
    "trainers.train",
    "trainers.train_detector",
    "trainers.compare",
    "trainers.predict",
)

# A framework, and where it may be imported: a room, or a file of one.
FRAMEWORKS: dict[str, frozenset[str]] = {
    "argcomplete": frozenset({"search_spaces/arguments.py"}),
    "fsspec": frozenset({"trainers/storage"}),
    "hydra": frozenset({"nas/settings/compose.py"}),
    "jinja2": frozenset({"nas/reporting/page.py"}),
    "llvmlite": frozenset({"search_spaces/attention/simd.py"}),
    "matplotlib": frozenset({"nas/reporting/pictures.py", "trainers/figures.py"}),
    "mlflow": frozenset({"nas/tracking"}),
    "numba": frozenset({"search_spaces/attention/kernels.py", "search_spaces/attention/simd.py"}),
    "omegaconf": frozenset({"nas/settings/compose.py"}),
    "optuna": frozenset({"nas/ledger", "nas/strategy/optuna_sampler.py"}),
    "pandas": frozenset({"vision_architecture_search/searches.py"}),
    "pyarrow": frozenset({"trainers/storage/file_systems.py"}),
    "pycocotools": frozenset({"trainers/detection/coco_evaluation.py"}),
    "plotly": frozenset({"nas/reporting"}),
    "psutil": frozenset({"nas/driver/interruption.py"}),
    "psycopg": frozenset({"nas/ledger/postgresql.py"}),
    "ray": frozenset({"nas/workers", "cluster"}),
    "rich": frozenset({"nas/driver", "nas/export.py"}),
    "safetensors": frozenset({"trainers/bundle/files.py", "trainers/detection/files.py"}),
    "scipy": frozenset({"nas/records", "nas/strategy"}),
    "sqlalchemy": frozenset(
        {
            "nas/ledger/database.py", "nas/ledger/driver_claim.py", "nas/ledger/postgresql.py",
            "nas/ledger/trial_rows.py",
        }
    ),
    "torch": frozenset(
        {
            "search_spaces", "search_spaces/attention", "trainers", "trainers/data", "trainers/bundle",
            "trainers/pictures/served.py", "trainers/full/initial_weights.py", "trainers/detection", "nas/workers",
            "nas/tracking/model_registry.py", "nas/driver/bundle_export.py", "vision_architecture_search/bundles.py",
            "vision_architecture_search/networks.py",
        }
    ),
    "triton": frozenset(
        {
            "search_spaces/attention/triton_kernels.py", "search_spaces/attention/triton_kernels_backward.py",
            "search_spaces/attention/triton_stem_kernels.py", "search_spaces/attention/triton_attention.py",
            "search_spaces/attention/triton_start.py",
        }
    ),
    "torchvision": frozenset({"trainers/data/torchvision_import.py"}),
}  # fmt: skip


def module_of(path: Path) -> str:
    """The module that a file of the project holds, as it is imported."""
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


def sources() -> dict[str, Path]:
    """Every module of the project's packages, and its file."""
    paths = (path for package in PACKAGES for path in sorted((PROJECT / package).rglob("*.py")))
    return {module_of(path): path for path in paths}


def rooms() -> set[str]:
    """The rooms that are there: every folder with a module in it, and the entries."""
    folders = {module_of(path.parent) for path in sources().values() if path.stem != "__init__"}
    # Nothing but the entries lies at the top of nas.
    return (folders | set(ENTRIES)) - {"nas"}


def room_of(module: str) -> str:
    """The room that a module stands in."""
    if module in ENTRIES or (PROJECT / module.replace(".", "/")).is_dir():
        return module
    return module.rpartition(".")[0]


def imported_names(source: str, package: str) -> set[str]:
    """Every name that an import statement anywhere in `source` could bind a module to, written from the top level.

    Imports inside functions and under TYPE_CHECKING count like any other. `package` is where the source stands, from
    which relative imports go up.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: -(node.level - 1) or None] if node.level else []
            module = ".".join(filter(None, [*above, node.module]))
            names.add(module)
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return names


def imports_by_text(source: str) -> set[str]:
    """The calls in `source` that import what a text names, which no table can see: import_module and __import__."""
    called = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    names = {one.id if isinstance(one, ast.Name) else one.attr for one in called if isinstance(one, Named)}
    return names & {"import_module", "__import__"}


@lru_cache(maxsize=1)
def all_names() -> dict[str, frozenset[str]]:
    """Every module of the project, and all names that it imports, of whatever package."""
    found = {}
    for module, path in sources().items():
        package = module if path.stem == "__init__" else module.rpartition(".")[0]
        found[module] = frozenset(imported_names(path.read_text(encoding="utf-8"), package))
    return found


@lru_cache(maxsize=1)
def imports() -> dict[str, frozenset[str]]:
    """Every module of the project, and those modules of the project that it imports.

    A package, which holds nothing, counts where nothing of it is named: as its own room.
    """
    known = sources()
    found = {}
    for module in known:
        named = all_names()[module] & known.keys()
        # `from package import module` names the package, too.
        bare = {name for name in named if not any(other.startswith(f"{name}.") for other in named)}
        found[module] = frozenset(name for name in named if known[name].stem != "__init__" or name in bare) - {module}
    return found
