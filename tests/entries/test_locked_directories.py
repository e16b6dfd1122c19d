"""What lies in a directory that a user may not enter: every program says so in a line, wherever it comes across it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from search_spaces.programs import MODULES, PROGRAMS
from tests.support.bundles import SUMMARY, provenance
from tests.support.exported_search import finished_search
from tests.support.images import make_images
from tests.support.tiny_training import DATA, RECIPE, TINY
from trainers.bundle.contents import Bundle
from trainers.bundle.files import write_bundle

PROJECT = Path(__file__).resolve().parents[2]
SEARCH = ["search", "--space", "resnet_stages"]
PLAN = [*SEARCH, "--plan"]
EXPORT = ["export", "found"]
TRAIN = ["train", "bundle"]
# Of those that take a path: the rest asks a cluster, or a GPU, first.
COMMANDS = [
    ["predict", "locked/bundle", "a.png"],
    ["predict", "locked", "a.png"],
    ["predict", "bundle", "locked/images/cat/0.png"],
    ["train", "locked/bundle"],
    ["train", "locked"],
    ["train", "locked/bundle", "--print-config"],
    [*TRAIN, "data=image_folder", "data.root=locked/images"],
    [*TRAIN, "data=image_folder", "data.root=locked"],
    [*TRAIN, "data.cache=locked/cache"],
    [*TRAIN, "recipe=locked/recipe.yaml"],
    [*TRAIN, "--config", "locked/settings.yaml"],
    [*TRAIN, "--out", "locked/out"],
    [*TRAIN, "--out", "locked"],
    ["train-detector", "locked/bundle", "data.root=images"],
    ["train-detector", "resnet26", "data.root=locked/images"],
    ["train-detector", "resnet26", "data.root=locked"],
    ["compare", "locked/done"],
    ["compare", "locked"],
    ["compare", "bundle", "--out", "locked/comparison"],
    ["compare", "bundle", "--out", "locked"],
    ["cost", "locked/bundle"],
    ["cost", "locked"],
    *(
        [*PLAN, f"data={data}", f"data.root={root}"]
        for data in ("image_folder", "tar_shards", "imagenet")
        for root in ("locked/images", "locked")
    ),
    [*PLAN, "--runs-dir", "locked/runs"],
    [*PLAN, "--runs-dir", "locked"],
    [*SEARCH, "--runs-dir", "locked/runs"],
    [*SEARCH, "--runs-dir", "locked"],
    ["search", "--plan", "--space", "locked/space.yaml"],
    ["search", "--resume", "found", "--runs-dir", "locked/runs"],
    ["status", "found", "--runs-dir", "locked/runs"],
    ["status", "found", "--runs-dir", "locked"],
    ["control", "found", "--stop", "--runs-dir", "locked/runs"],
    [*EXPORT, "--list", "--runs-dir", "locked/runs"],
    [*EXPORT, "--pick", "knee", "--out", "locked/bundle"],
    ["export", "--paper", "resnet26", "--out", "locked/bundle"],
    ["report", "found", "--out", "locked/report"],
    ["report", "found", "--out", "locked"],
    ["report", "found", "--trained", "locked/done"],
    ["report", "found", "--runs-dir", "locked/runs"],
    ["train-fully", "found", "--runs-dir", "locked/runs"],
    ["train-fully", "found", "--out", "locked/full"],
    ["check-cluster", "--runs-dir", "locked/runs"],
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A finished search, class folders of images, a bundle, and a directory that nobody may enter."""
    directory = tmp_path_factory.mktemp("locks")
    finished_search(directory / "runs")
    make_images(directory / "images", count=20)
    write_bundle(directory / "bundle", Bundle(TINY, RECIPE, DATA, SUMMARY, provenance()), {})
    locked = directory / "locked"
    locked.mkdir(mode=0)
    yield directory
    locked.chmod(0o700)


@pytest.fixture(scope="module")
def without_privilege(directory: Path) -> list[str]:
    """The words before a command that root's privilege to enter any directory is taken from."""
    words = [] if os.geteuid() else ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    try:
        looked = subprocess.run([*words, "ls", str(directory / "locked")], capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"root enters any directory, and needs setpriv not to: {error}")
    if "Permission denied" not in looked.stderr:
        pytest.skip(f"this user enters any directory, which cannot be taken from it: {looked.stderr or 'it did'}")
    return words


def test_every_program_that_takes_a_path_is_asked() -> None:
    assert {words[0] for words in COMMANDS} == set(PROGRAMS) - {"train-on-ray", "tune-attention"}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_locked_directory_is_named_in_a_line(directory: Path, without_privilege: list[str], words: list[str]) -> None:
    script = PROGRAMS[words[0]][0]
    module = ["-m", script.removesuffix(".py").replace("/", ".")]
    command = [sys.executable, *(module if script in MODULES else [str(PROJECT / script)]), *words[1:]]
    done = subprocess.run(
        [*without_privilege, *command],
        cwd=directory, capture_output=True, text=True, timeout=120, env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert "locked" in done.stderr
    assert any(word in done.stderr for word in ("may not be entered", "Permission denied", "not for this user"))
    assert "cannot be written" not in done.stderr
