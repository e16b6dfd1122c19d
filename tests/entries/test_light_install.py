"""What `pip install .` brings, without the extra of the search: bundles predict and are trained, and searches say so.

The environment holds links to those packages of this one that the requirements name, with all that they need, and none
of the others.
"""

import importlib.metadata
import json
import subprocess
import sys
import tomllib
from functools import lru_cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from search_spaces.extras import SEARCH_PACKAGES
from search_spaces.programs import MODULES, PROGRAMS
from tests.project.rooms import FRAMEWORKS, PROJECT
from tests.support.bundles import SUMMARY, provenance
from tests.support.images import make_images
from tests.support.tiny_training import DATA, RECIPE, TINY
from trainers.bundle.contents import Bundle
from trainers.bundle.files import write_bundle
from trainers.data import torchvision_operators
from trainers.model import seeded_model

Declared = dict[str, list[str]]


def declared() -> tuple[list[str], Declared]:
    """The requirements of the project, and those of its extras."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["dependencies"], project["optional-dependencies"]


def distributions(requirements: list[str]) -> dict[str, importlib.metadata.Distribution]:
    """What is installed for these requirements, and for theirs, by name."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = list(map(Requirement, requirements))
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if applies and name not in found:
            found[name] = importlib.metadata.distribution(name)
            waiting += map(Requirement, found[name].requires or [])
    return found


def empty_environment(directory: Path) -> tuple[Path, Path]:
    """The Python of a fresh environment and the directory of its packages."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True)
    python = directory / "bin" / "python"
    command = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    return python, Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment as `pip install .` makes it."""
    python, packages = empty_environment(tmp_path_factory.mktemp("light") / "environment")
    for distribution in distributions(declared()[0]).values():
        for name in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            if not (packages / name).exists():
                (packages / name).symlink_to(Path(str(distribution.locate_file(name))))
    (packages / "project.pth").write_text(f"{PROJECT}\n", encoding="utf-8")
    return python


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a bundle and images."""
    directory = tmp_path_factory.mktemp("place")
    weights = seeded_model(TINY, SUMMARY, 0).state_dict()
    write_bundle(directory / "bundle", Bundle(TINY, RECIPE, DATA, SUMMARY, provenance()).described(), weights)
    make_images(directory / "images", count=3)
    return directory


def distributions_of(package: str) -> set[str]:
    """What an imported package belongs to: more than one thing, where several share it."""
    return {canonicalize_name(name) for name in packages_distributions()[package]}


packages_distributions = lru_cache(importlib.metadata.packages_distributions)


def run(python: Path, place: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, *command], cwd=place, capture_output=True, text=True, timeout=300)


def test_the_extra_is_what_a_search_is_asked_for() -> None:
    names = {canonicalize_name(Requirement(line).name) for line in declared()[1]["search"]}
    assert names == {name for package in SEARCH_PACKAGES for name in distributions_of(package) & names}
    assert all(distributions_of(package) & names for package in SEARCH_PACKAGES)


def test_the_frameworks_of_search_spaces_and_trainers_are_those_of_the_light_install() -> None:
    names = {canonicalize_name(Requirement(line).name) for line in declared()[0]}
    of_searches = ("nas", "cluster", "vision_architecture_search/searches.py")
    light = {name for name, places in FRAMEWORKS.items() if any(not p.startswith(of_searches) for p in places)}
    # llvmlite comes with Numba; Triton with a CUDA build of torch, and without one it is not used. Detectors ask for
    # an extra, and only a search has a storage. Of scikit-learn only a file is read.
    needed = {*light, "numpy", "PIL", "yaml", "sklearn"} - {"llvmlite", "triton", "pycocotools", "fsspec", "pyarrow"}
    assert names == {name for package in needed for name in distributions_of(package) & names}
    assert all(distributions_of(package) & names for package in needed)


def test_a_bundle_predicts(light: Path, place: Path) -> None:
    done = run(light, place, str(PROJECT / "trainers/predict.py"), "bundle", "images/cat/0.png", "--json")
    assert done.returncode == 0, done.stderr
    [answer] = json.loads(done.stdout)
    assert answer["class"] in "0123456789" and len(answer["predictions"]) == 10


def test_a_bundle_is_trained(light: Path, place: Path) -> None:
    done = run(light, place, str(PROJECT / "trainers/train.py"), "bundle", "recipe.epochs=1", "--out", "trained")
    assert done.returncode == 0, done.stderr
    assert (place / "trained/bundle/weights.safetensors").is_file() and (place / "trained/curves.png").is_file()
    compared = run(light, place, str(PROJECT / "trainers/compare.py"), "trained")
    assert compared.returncode == 0, compared.stderr


FROM_PYTHON = """
import vision_architecture_search as vas
print(vas.open_bundle("bundle").predict(["images/cat/0.png"])[0].guesses[0].name in "0123456789")
print(vas.cost("resnet50", image_size=224).flops > 8e9)
for asked in (lambda: vas.open_search("x"), vas.start_search):
    try:
        asked()
    except vas.UserError as error:
        print(error)
"""


def test_the_face_serves_bundles_and_names_the_extra_for_a_search(light: Path, place: Path) -> None:
    done = run(light, place, "-c", FROM_PYTHON)
    assert done.returncode == 0, done.stderr
    predicted, counted, *refused = done.stdout.splitlines()
    assert (predicted, counted) == ("True", "True")
    assert len(refused) == 2 and all("a search needs the extra 'search'" in line for line in refused)


@pytest.mark.parametrize(
    "command",
    [*([f"nas/{path.name}"] for path in sorted((PROJECT / "nas").glob("[!_]*.py"))), ["-m", "cluster.check"]],
    ids=lambda command: command[-1],
)
def test_a_command_of_the_search_names_the_extra(light: Path, place: Path, command: list[str]) -> None:
    words = command if command[0] == "-m" else [str(PROJECT / command[0])]
    done = run(light, place, *words, "--help")
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1
    for expected in ("needs the extra 'search'", "ray", "mlflow", "optuna", "hydra", "pip install"):
        assert expected in done.stderr


@pytest.mark.parametrize("script", [script for script, _ in PROGRAMS.values() if script not in MODULES])
def test_a_python_without_the_project_is_told_what_to_enter(tmp_path: Path, script: str) -> None:
    """As one outside of `.venv`: it has nothing but the standard library, and stands anywhere."""
    command = [sys.executable, "-S", "-E", str(PROJECT / script), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith(
        f"error: this Python, {sys.executable!r}, lacks numpy, yaml, torch, which the project"
    )
    assert f"source {PROJECT}/.venv/bin/activate\n" in done.stderr


def test_windows_is_told_where_it_runs() -> None:
    """Before anything is imported that is of POSIX alone."""
    program = "import os; os.name = 'nt'; from search_spaces.installed import require_installed; require_installed()"
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: this is Windows, expected Linux or macOS: WSL runs the project (wsl --install)\n"


IMPORT = "import torchvision.datasets, torchvision.transforms.v2; print(len(torchvision.models.list_models()))"
# Whoever asks whether it is there loads nothing; and the project's own way to it goes together with the environment's.
ASK_AND_IMPORT = f"""
import importlib.util, sys
assert importlib.util.find_spec('torchvision') and 'torch' not in sys.modules
{IMPORT}
sys.path.append({str(PROJECT)!r})
from trainers.data.torchvision_import import torchvision as projects_own
assert projects_own() is torchvision
"""


def test_scripts_of_a_user_import_torchvision(tmp_path: Path) -> None:
    """Whichever build of it stands beside whichever of torch, once `make` has seen to that."""
    python, packages = empty_environment(tmp_path / "environment")
    (packages / "base.pth").write_text(str(importlib.metadata.distribution("torch").locate_file("")), encoding="utf-8")
    before = run(python, tmp_path, "-c", IMPORT)
    command = [str(python), "-m", torchvision_operators.__name__]
    seen_to = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300)
    assert seen_to.returncode == 0, seen_to.stderr
    assert (before.returncode != 0) == (packages / f"{torchvision_operators.COPY}.pth").exists()
    after = run(python, tmp_path, "-c", ASK_AND_IMPORT)
    assert after.returncode == 0 and int(after.stdout) > 50, after.stderr
