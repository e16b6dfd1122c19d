"""Loader processes in a container's conditions: without shared memory, killed, frozen, or none to be had."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from trainers.data import loader_processes
from trainers.data.loader_processes import LoadersStopped, read_batches

PROJECT = Path(__file__).resolve().parents[3]
BATCHES = [[0, 1], [2, 3], [4, 5], [6, 7]]
# Four batches of 16 MB each, as `python -c` reads them, and what came of it.
READING = """
import logging, sys
from tests.trainers.data.test_loader_processes import Numbers, read
logging.basicConfig(format="%(message)s")
print([int(batch[0, 0]) for batch, in read(Numbers(1_000_000), 2)])
"""


class Numbers(Dataset[Tensor]):
    """Each number as an array of so many of it; a negative one has its process do what `trouble` says."""

    def __init__(self, size: int, trouble: int | None = None) -> None:
        self.size = size
        self.trouble = trouble

    def __getitem__(self, number: int) -> Tensor:
        if number < 0 and self.trouble is not None:
            os.kill(os.getpid(), self.trouble)
        return torch.full((self.size,), number)

    @staticmethod
    def collate(items: list[Tensor]) -> tuple[Tensor]:
        return (torch.stack(items),)


def read(numbers: Numbers, processes: int, batches: Sequence[list[int]] = BATCHES) -> list[tuple[Tensor]]:
    size = 16 * numbers.size
    return list(
        read_batches(numbers, batches, Numbers.collate, processes=processes, batch_bytes=size, pin_memory=False)
    )


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        ("mount -t tmpfs -o size=1m none /dev/shm", ""),
        ("mount -t tmpfs -o ro none /dev/shm", "No loader processes can be had here"),
    ],
)  # fmt: skip
def test_batches_arrive_whatever_the_shared_memory(conditions: str, said: str) -> None:
    namespace = ["unshare", "--mount", "sh", "-c", f'set -e; {conditions}; exec "$@"', "sh"]
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to make a mount namespace")
    done = subprocess.run(
        [*namespace, sys.executable, "-c", READING],
        cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout == "[0, 2, 4, 6]\n", done.stderr
    assert said in done.stderr and done.stderr.count("\n") == bool(said)


@pytest.mark.parametrize(("trouble", "said"), [(signal.SIGKILL, "killed|exited"), (signal.SIGSTOP, "timed out")])
def test_loaders_that_die_or_hang_are_an_error(
    trouble: signal.Signals, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader_processes, "LONGEST_SILENCE_SECONDS", 2.0)
    others = multiprocessing.active_children()
    with pytest.raises(LoadersStopped, match=f"({said}).*data.loader_workers=0"):
        read(Numbers(8, trouble), 1, [*BATCHES, [-1]])
    assert set(multiprocessing.active_children()) <= set(others)


def test_an_error_of_the_data_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="negative dimension"):
        read(Numbers(-1), 1)
