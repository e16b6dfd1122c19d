"""A search as it meets a container: files that cannot be written, little shared memory, an output that is full."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.entries.test_search import PROJECT, SMALL, summary
from tests.faults.searches import LIMIT_SECONDS
from tests.support.images import make_images

pytestmark = pytest.mark.slow


def search_in(conditions: str, directory: Path, *arguments: str, redirection: str = "") -> tuple[int, str, str]:
    """Runs a search in a mount namespace of its own. (exit code, standard output, standard error)"""
    namespace = ["unshare", "--mount", "bash", "-c", f'set -e; {conditions}; exec "$@" {redirection}', "bash"]
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to make a mount namespace")
    command = [sys.executable, str(PROJECT / "nas/search.py"), "--space", "resnet_stages", "--name", "one", *SMALL]
    done = subprocess.run(
        [*namespace, *command, *arguments],
        cwd=directory, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_a_checkout_and_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    read_only = f"mount --bind {PROJECT} {PROJECT}; mount -o remount,bind,ro {PROJECT}"
    home = f"mount -t tmpfs -o ro,size=4k none {tmp_path}/home; export HOME={tmp_path}/home"
    code, output, error = search_in(f"{read_only}; {home}", tmp_path, "--trials", "2")
    assert code == 0, error
    # Both anchors, one of which is attention everywhere.
    assert summary(tmp_path, "one")["counts"]["finished"] == 2 and ", 0 failed;" in output


def test_images_larger_than_the_shared_memory(tmp_path: Path) -> None:
    make_images(tmp_path / "images", count=40)
    code, _, error = search_in(
        "mount -t tmpfs -o size=1m none /dev/shm", tmp_path, "--trials", "1", "data=image_folder",
        f"data.root={tmp_path / 'images'}", "data.image_size=96", "training.batch_size=32", "data.loader_workers=2",
    )  # fmt: skip
    assert code == 0, error
    assert summary(tmp_path, "one")["counts"]["finished"] == 1


def test_an_output_that_is_full_is_said_and_loses_nothing(tmp_path: Path) -> None:
    code, _, error = search_in("true", tmp_path, "--trials", "1", redirection=">/dev/full")
    assert code == 1
    assert error == "error: standard output cannot be written (No space left on device): the rest of it is lost.\n"
    assert summary(tmp_path, "one")["counts"]["finished"] == 1
