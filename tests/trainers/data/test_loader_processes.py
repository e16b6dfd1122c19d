"""Loader processes in a container's conditions: without shared memory, killed, frozen, or none to be had."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest
import torch
from torch import Tensor

from trainers.data import loader_processes
from trainers.data.loader_processes import SECONDS_TO_END, Loader, LoadersStopped, deaths_in_words

PROJECT = Path(__file__).resolve().parents[3]
BATCHES = [[0, 1], [2, 3], [4, 5], [6, 7]]
# Four batches of 16 MB each, as `python -c` reads them, and what came of it.
READING = """
import logging, sys
from tests.trainers.data.test_loader_processes import Numbers, read
logging.basicConfig(format="%(message)s")
print([int(batch[0, 0]) for batch, in read(Numbers(1_000_000), 2)])
"""


# One that is left in the middle, and is still held when its process ends; and one whose processes have hardly begun.
LEFT_ALONE = """
import gc, sys
from tests.trainers.data.test_loader_processes import Loader, Numbers, handed_out
gc.disable()
held = [Loader(Numbers(8), 2)]
held.append(held)
batches = handed_out(held[0])
if sys.argv[1] == "in the middle":
    print(int(next(batches)[0][0, 0]))
"""


class Numbers:
    """Numbers as arrays of so many of each; a negative one has its process do what `trouble` says."""

    def __init__(self, size: int, trouble: int | None = None) -> None:
        self.size = size
        self.trouble = trouble

    def __call__(self, batch: list[int]) -> tuple[Tensor]:
        if min(batch) < 0 and self.trouble is not None:
            os.kill(os.getpid(), self.trouble)
        return (torch.stack([torch.full((self.size,), number) for number in batch]),)


def handed_out(loader: Loader, batches: Sequence[list[int]] = BATCHES, size: int = 8) -> Iterator[tuple[Tensor, ...]]:
    return loader.batches(batches, batch_bytes=16 * size, pin_memory=False)


def read(numbers: Numbers, processes: int, batches: Sequence[list[int]] = BATCHES) -> list[tuple[Tensor, ...]]:
    return list(handed_out(Loader(numbers, processes), batches, numbers.size))


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


def test_processes_live_on_and_what_is_left_of_an_epoch_is_dropped() -> None:
    others = set(multiprocessing.active_children())
    loader = Loader(Numbers(2), 2)
    first = handed_out(loader)
    started = set(multiprocessing.active_children()) - others
    assert len(started) == 2 and first_numbers(next(first)) == [0, 1]
    for batches in (BATCHES[::-1], BATCHES):
        assert [first_numbers(batch) for batch in handed_out(loader, batches)] == batches
    assert set(multiprocessing.active_children()) - others == started
    with pytest.raises(AssertionError, match="other batches were asked for since"):
        next(first)
    del loader, first
    assert not set(multiprocessing.active_children()) - others


def first_numbers(batch: tuple[Tensor, ...]) -> list[int]:
    return [int(number) for number in batch[0][:, 0]]


def test_what_is_sent_to_all_processes_is_for_the_one_that_reads() -> None:
    others = set(multiprocessing.active_children())
    loader = Loader(Numbers(2), 2)
    batches = handed_out(loader)
    # One of each, so that both have begun.
    found = [first_numbers(next(batches)) for _ in range(2)]
    started = set(multiprocessing.active_children()) - others
    for process in started:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
            os.kill(process.pid or 0, number)
    assert found + [first_numbers(batch) for batch in batches] == BATCHES
    assert [first_numbers(batch) for batch in handed_out(loader)] == BATCHES
    assert set(multiprocessing.active_children()) - others == started
    del loader, batches
    assert not set(multiprocessing.active_children()) - others


def test_a_process_that_dies_while_nothing_is_asked_of_it_is_an_error_and_another_starts() -> None:
    others = set(multiprocessing.active_children())
    loader = Loader(Numbers(2), 1)
    list(handed_out(loader))
    [process] = set(multiprocessing.active_children()) - others
    with pytest.raises(LoadersStopped, match=r"killed.*data\.loader_workers=0"), deaths_in_words():
        os.kill(process.pid or 0, signal.SIGKILL)
        time.sleep(30)  # torch says so in the middle of it.
    assert [first_numbers(batch) for batch in handed_out(loader)] == BATCHES


def _reads_and_is_killed(pids: Path) -> None:
    batches = handed_out(Loader(Numbers(1_000_000), 2), size=1_000_000)
    next(batches)
    pids.with_suffix(".partial").write_text(
        " ".join(str(process.pid) for process in multiprocessing.active_children()), encoding="ascii"
    )
    pids.with_suffix(".partial").rename(pids)
    time.sleep(1)  # Meanwhile the next batches are read: they do not fit in their pipes.
    os.kill(os.getpid(), signal.SIGKILL)


def test_none_outlives_a_reader_that_is_killed(tmp_path: Path) -> None:
    reader = multiprocessing.get_context("fork").Process(target=_reads_and_is_killed, args=(tmp_path / "pids",))
    reader.start()
    reader.join(60)
    assert reader.exitcode == -signal.SIGKILL
    left = [int(pid) for pid in (tmp_path / "pids").read_text(encoding="ascii").split()]
    assert len(left) == 2
    deadline = time.monotonic() + 10
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in left):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_a_loader_that_is_collected_in_a_cycle_ends_its_processes() -> None:
    """torch's own end of them finds queues without threads then, and waits for ever."""
    before = set(psutil.Process().children())
    numbers = Numbers(8)
    loader = Loader(numbers, 2)
    numbers.reader = loader  # type: ignore[attr-defined]
    assert len(list(handed_out(loader))) == len(BATCHES)
    processes = set(psutil.Process().children()) - before
    assert len(processes) == 2
    del numbers, loader
    started = time.monotonic()
    gc.collect()
    assert time.monotonic() - started < SECONDS_TO_END
    assert not psutil.wait_procs(processes, timeout=SECONDS_TO_END)[1]


@pytest.mark.parametrize(("left", "printed"), [("in the middle", "0\n"), ("at the start", "")])
def test_a_process_ends_whose_loader_is_still_held(left: str, printed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEFT_ALONE, left], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, printed, "")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_to_all_leaves_those_alone_that_have_hardly_begun(sent: signal.Signals) -> None:
    others = set(multiprocessing.active_children())
    batches = handed_out(Loader(Numbers(2), 2))
    for process in set(multiprocessing.active_children()) - others:
        os.kill(process.pid or 0, sent)
    assert [first_numbers(batch) for batch in batches] == BATCHES
