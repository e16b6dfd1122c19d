"""A storage path that fills up: a file system of its own, small and full for real."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.records.trial import TrialRecord
from tests.entries.test_search import PROJECT, SMALL
from tests.faults.searches import LIMIT_SECONDS, wait_for

pytestmark = pytest.mark.slow

DISK_BYTES = 200_000_000


@dataclass(frozen=True)
class SmallDisk:
    """A file system at `path`, for the processes of `holder`'s mount namespace alone; seen from outside at `seen`."""

    path: Path
    holder: subprocess.Popen[str]

    @property
    def seen(self) -> Path:
        return Path(f"/proc/{self.holder.pid}/root{self.path}")

    def search(self, *arguments: str) -> subprocess.Popen[str]:
        enter = [
            "nsenter",
            f"--mount=/proc/{self.holder.pid}/ns/mnt",
            "sh",
            "-c",
            f'cd {self.path.parent} && exec "$@"',
        ]
        command = [sys.executable, str(PROJECT / "nas/search.py"), *arguments, "--runs-dir", str(self.path)]
        return subprocess.Popen(
            [*enter, "sh", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def records(self) -> tuple[TrialRecord, ...]:
        """What the ledger of search "one" holds, read from a copy outside."""
        copy = shutil.copy(self.seen / "one" / "ledger.db", self.path.parent)
        return Ledger.open(ledger_url(Path(copy)), "one").records

    def fill(self, left: int = 0) -> None:
        """Takes all of the space but `left` bytes."""
        free = shutil.disk_usage(self.seen).free
        descriptor = os.open(self.seen / "ballast", os.O_WRONLY | os.O_CREAT)
        os.posix_fallocate(descriptor, 0, max(1, free - left))
        os.close(descriptor)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    path = tmp_path / "runs"
    path.mkdir()
    mount = f"mount -t tmpfs -o size={DISK_BYTES} none {path} && echo mounted && exec sleep 3600"
    holder = subprocess.Popen(["unshare", "--mount", "sh", "-c", mount], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    if holder.stdout.readline() != "mounted\n":
        pytest.skip("needs the right to make a mount namespace")
    yield SmallDisk(path, holder)
    holder.kill()
    holder.communicate()


def start(disk: SmallDisk) -> subprocess.Popen[str]:
    return disk.search("--space", "resnet_stages", "--name", "one", "--trials", "3", *SMALL[:-1], "training.epochs=8")


def test_too_little_space_is_seen_before_the_start(small_disk: SmallDisk) -> None:
    small_disk.fill(left=30_000_000)
    process = start(small_disk)
    output, error = process.communicate(timeout=60)
    # On a busy machine it also says that it is still loading.
    assert process.returncode == 2 and all(" loading " in f" {line}" for line in output.splitlines())
    assert "0.03 GB free" in error and "3 trials" in error and error.count("\n") == 1
    assert [path.name for path in small_disk.seen.iterdir()] == ["ballast"]


def test_a_search_whose_disk_fills_up_goes_on_once_there_is_space(small_disk: SmallDisk) -> None:
    process = start(small_disk)
    wait_for(lambda: list(small_disk.seen.glob("one/checkpoints/*/epoch-*.checkpoint")), process)
    small_disk.fill()
    _, error = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 1, error
    way_on = f"python {PROJECT / 'nas/search.py'} --resume one --runs-dir {small_disk.path}\n"
    assert error.count(f"is full: make space there, then go on with it: {way_on}") == 1
    assert "Traceback" not in error
    cut_off = small_disk.records()
    assert {record.outcome for record in cut_off} <= {"running", "held", "finished"}
    (small_disk.seen / "ballast").unlink()
    process = small_disk.search("--resume", "one")
    _, error = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0, error
    ended = small_disk.records()
    assert sum(record.trained for record in ended) == 3
    assert all(len(after.epochs) >= len(before.epochs) for before, after in zip(cut_off, ended, strict=False))
    assert not list(small_disk.seen.glob("one/checkpoints/*/*.corrupt"))
