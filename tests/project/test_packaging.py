"""What `make` installs, and what it says where it cannot."""

import importlib.metadata
import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

PROJECT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.11", "3.12", "3.13")
CUDA_LIBRARIES = ("nvidia-", "cuda-toolkit", "triton")

# Stands in for an interpreter: says its version, "makes" an environment by copying itself there, logs what pip is told.
STUB = """#!/bin/sh
case "$*" in
  *version_info*) echo {version} ;;
  *ensurepip*) exit {ensurepip} ;;
  "-m venv "*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  "-m pip "*) echo "$*" >> pip.log; [ ! -e no-network ] ;;
  *) echo "ran $*" ;;
esac
"""
NEEDED = "error: Python 3.11, 3.12 or 3.13 with the venv module is needed; looked for "


def declared_requirements() -> list[Requirement]:
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    project = declared["project"]
    lists = [
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *declared["dependency-groups"].values(),
    ]
    # A group names others by a mapping.
    return [Requirement(line) for requirements in lists for line in requirements if isinstance(line, str)]


def pinned_versions() -> dict[NormalizedName, Version]:
    lines = (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {}
    for line in lines:
        if line and not line.startswith("#"):
            name, version = line.split("==")
            assert canonicalize_name(name) not in pins, f"{name} is pinned twice"
            pins[canonicalize_name(name)] = Version(version)
    return pins


def test_pins_carry_no_local_suffix() -> None:
    assert [name for name, version in pinned_versions().items() if version.local] == []


def test_pins_satisfy_the_ranges() -> None:
    pins = pinned_versions()
    assert {"setuptools", "pip"} <= pins.keys()
    for requirement in declared_requirements():
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement


@pytest.mark.parametrize("python", PYTHONS)
def test_pins_hold_everything_that_is_needed_and_agree(python: str) -> None:
    pins = pinned_versions()
    waiting, seen, wrong = declared_requirements(), set(), []
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name.startswith(CUDA_LIBRARIES):
            continue
        if name not in pins or not requirement.specifier.contains(pins[name]):
            wrong.append(str(requirement))
            continue
        if (name, *requirement.extras) not in seen:
            seen.add((name, *requirement.extras))
            waiting += needed_by(name, requirement.extras, pins[name], python)
    assert wrong == []


def needed_by(name: str, extras: set[str], pin: Version, python: str) -> list[Requirement]:
    """What the distribution asks for on that Python; nothing where another version than the pin is installed."""
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return []
    if Version(distribution.version).public != str(pin):
        return []
    requirements = [Requirement(line) for line in distribution.requires or []]
    return [
        requirement
        for requirement in requirements
        if requirement.marker is None
        or any(
            requirement.marker.evaluate(
                {"python_version": python, "python_full_version": f"{python}.0", "extra": extra}
            )
            for extra in {"", *extras}
        )
    ]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory with what `make` reads and nothing else; its name has a space."""
    directory = tmp_path / "a checkout"
    directory.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(PROJECT / name, directory)
    return directory


def stub_python(directory: Path, version: str = "3.12.4", ensurepip: int = 0) -> Path:
    path = directory / "python-stub"
    path.write_text(STUB.format(version=version, ensurepip=ensurepip), encoding="utf-8")
    path.chmod(0o755)
    return path


def make(checkout: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    outer = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "PYTHON"}
    program = shutil.which("make")
    assert program is not None
    command = [program, *arguments]
    return subprocess.run(
        command,
        cwd=checkout,
        env=outer | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def refusal(result: subprocess.CompletedProcess[str]) -> str:
    """The one line that is printed, but for make's own."""
    assert result.returncode != 0
    assert result.stdout == ""
    message, makes_own = result.stderr.splitlines()
    assert makes_own.startswith("make: ***")
    return message


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize(
    ("version", "ensurepip", "seen"),
    [("3.10.13", 0, "3.10.13"), ("3.14.0", 0, "3.14.0"), ("3.12.4", 1, "3.12.4 without the venv module")],
)
@pytest.mark.parametrize("target", ["search", "test"])
def test_an_unfit_python_is_one_line_and_creates_nothing(
    checkout: Path, tmp_path: Path, target: str, version: str, ensurepip: int, seen: str
) -> None:
    python = stub_python(tmp_path, version, ensurepip)
    before = names_in(checkout)
    message = refusal(make(checkout, target, f"PYTHON={python}"))
    assert message == f"{NEEDED}{python} ({seen}); another is given by PYTHON=/path/to/python"
    assert names_in(checkout) == before


def test_no_python_at_all_is_one_line_that_names_what_was_looked_for(checkout: Path, tmp_path: Path) -> None:
    before = names_in(checkout)
    message = refusal(make(checkout, "search", PATH=str(tmp_path / "empty")))
    for name in ("python3", "python3.13", "python3.12", "python3.11"):
        assert f"{name} (not found)" in message
    assert names_in(checkout) == before


def test_a_second_call_installs_nothing(checkout: Path, tmp_path: Path) -> None:
    python = f"PYTHON={stub_python(tmp_path)}"
    assert (
        "ran nas/search.py --space resnet_stages --trials 5"
        in make(checkout, "search", python, "ARGS=--trials 5").stdout
    )
    log = checkout / "pip.log"
    assert "-c constraints.txt -e .[search] --group dev" in log.read_text(encoding="utf-8")
    log.unlink()
    assert make(checkout, "search", python).returncode == 0
    assert make(checkout, "test", python).returncode == 0
    assert not log.exists()


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_changed_requirement_is_installed(checkout: Path, tmp_path: Path, name: str) -> None:
    python = f"PYTHON={stub_python(tmp_path)}"
    make(checkout, "test", python)
    (checkout / "pip.log").unlink()
    later = (checkout / ".venv/.installed").stat().st_mtime + 10
    os.utime(checkout / name, (later, later))
    assert make(checkout, "test", python).returncode == 0
    assert (checkout / "pip.log").exists()


def test_an_install_that_was_cut_off_is_made_anew(checkout: Path, tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    (checkout / ".venv").mkdir()
    (checkout / ".venv/.installing").write_text(f"{ended.pid}\n", encoding="utf-8")
    (checkout / ".venv/half-written").touch()
    assert make(checkout, "test", f"PYTHON={stub_python(tmp_path)}").returncode == 0
    assert names_in(checkout / ".venv") == [".installed", "bin"]


def test_an_install_that_failed_is_made_anew(checkout: Path, tmp_path: Path) -> None:
    python = f"PYTHON={stub_python(tmp_path)}"
    (checkout / "no-network").touch()
    assert make(checkout, "test", python).returncode != 0
    (checkout / "no-network").unlink()
    assert make(checkout, "test", python).returncode == 0


def test_two_calls_do_not_install_at_once(checkout: Path, tmp_path: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv/.installing").write_text(f"{os.getpid()}\n", encoding="utf-8")
    message = refusal(make(checkout, "test", f"PYTHON={stub_python(tmp_path)}"))
    assert message.startswith(f"error: process {os.getpid()} is making .venv")
    assert names_in(checkout / ".venv") == [".installing"]


def test_an_environment_that_make_did_not_make_is_left_alone(checkout: Path, tmp_path: Path) -> None:
    (checkout / ".venv/bin").mkdir(parents=True)
    message = refusal(make(checkout, "test", f"PYTHON={stub_python(tmp_path)}"))
    assert message == "error: .venv was not made by make: delete or rename it"
    assert names_in(checkout / ".venv") == ["bin"]


def test_a_moved_checkout_gets_its_own_environment(checkout: Path, tmp_path: Path) -> None:
    python = f"PYTHON={stub_python(tmp_path)}"
    make(checkout, "test", python)
    moved = checkout.rename(tmp_path / "moved")
    (moved / "pip.log").unlink()
    assert make(moved, "test", python).returncode == 0
    assert (moved / "pip.log").exists()
