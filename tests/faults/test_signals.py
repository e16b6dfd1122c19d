"""Ctrl-C once and twice, SIGTERM, a closing terminal, and the end of Ray itself."""

import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.entries.test_search import run, start
from tests.faults.searches import (
    checkpoints,
    left_over,
    named,
    output_of,
    records,
    start_search,
    tree,
    wait_for,
    workers,
)

# Stands for a search: it has a child with a child of its own, and its main thread waits where no signal reaches Python.
WAITING = """
import os, subprocess, sys, threading
from nas.driver.interruption import Interruption, kill_descendants
with Interruption(grace_seconds=float(sys.argv[1])) as interrupted:
    if sys.argv[2] != "starting":
        interrupted.claim()
    subprocess.Popen(["sh", "-c", "sleep 600 & wait"])
    interrupted.last_words = "the way back\\n"
    interrupted.last_deed = lambda: print("tidied", flush=True)
    print("ready", flush=True)
    while not interrupted.is_set():
        threading.Event().wait(0.05)
    print("heard", flush=True)
    if sys.argv[2] == "stuck":
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()
    kill_descendants()
sys.exit(interrupted.exit_code)
"""


def waiting(grace_seconds: float, end: str) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, str(grace_seconds), end],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        # Tests that run under nohup have SIGHUP ignored, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    wait_for(lambda: len(tree(process)) == 3, process)
    return process, tree(process)[1:]


@pytest.mark.parametrize(
    ("number", "exit_code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 143), (signal.SIGHUP, 129)],
)
def test_the_first_signal_asks_and_gives_the_exit_code(number: int, exit_code: int) -> None:
    process, _ = waiting(60, "orderly")
    process.send_signal(number)
    output, error = process.communicate(timeout=30)
    assert process.returncode == exit_code and output == "heard\n" and "stopping" in error


def test_a_signal_while_a_search_starts_ends_all_processes_at_once() -> None:
    process, below = waiting(60, "starting")
    process.send_signal(signal.SIGINT)
    output, error = process.communicate(timeout=30)
    assert process.returncode == 130 and output == "tidied\nthe way back\n" and error == ""
    assert left_over(below) == []


def test_a_search_that_is_ended_while_it_starts_leaves_nothing_and_says_so(tmp_path: Path) -> None:
    process = start(tmp_path, "nas/search.py", "--space", "resnet_stages", "data=digits", "--name", "one")
    directory = tmp_path / "runs" / "one"
    wait_for((directory / "driver.lock").exists, process)
    process.send_signal(signal.SIGTERM)
    output, error = process.communicate(timeout=120)
    assert process.returncode == 143 and "Traceback" not in error
    # Had it begun before the signal came, it would end in order.
    said = "\nended before it began: nothing was written; start it again with the same command\n"
    assert (directory / "ledger.db").exists() or (output.endswith(said) and not directory.exists())


@pytest.mark.parametrize(("grace_seconds", "again"), [(60, [signal.SIGTERM, signal.SIGHUP, signal.SIGINT]), (0.5, [])])
def test_a_second_ctrl_c_or_the_end_of_the_grace_time_ends_all_processes(
    grace_seconds: float, again: list[int]
) -> None:
    process, below = waiting(grace_seconds, "stuck")
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None and process.stdout.readline() == "heard\n"
    for number in again:
        assert process.poll() is None
        process.send_signal(number)
    output, error = process.communicate(timeout=30)
    assert process.returncode == 143 and output == "tidied\nthe way back\n"
    assert ("the time for an orderly end is over" in error) == (not again)
    assert left_over(below) == []


def newer_checkpoints(directory: Path, known: set[Path]) -> set[Path]:
    return set(checkpoints(directory, "one")) - known


@pytest.mark.slow
def test_a_preempted_search_and_one_ended_at_once_go_on_where_they_were(tmp_path: Path) -> None:
    # Small batches, so that a signal comes within an epoch.
    process = start_search(tmp_path, "one", "--trials", "3", "training.epochs=3", "training.batch_size=4")
    asked = ([signal.SIGTERM], 143), ([signal.SIGUSR1], 143), ([signal.SIGINT, signal.SIGINT], 130)
    for signals, exit_code in asked:
        known = set(checkpoints(tmp_path, "one"))
        trained = [len(record.epochs) for record in records(tmp_path, "one")] if known else []
        wait_for(partial(newer_checkpoints, tmp_path, known), process)
        processes = tree(process)
        process.send_signal(signals[0])
        wait_for_words(process)
        for number in signals[1:]:
            process.send_signal(number)
        output, error = process.communicate(timeout=60)
        assert process.returncode == exit_code, error
        assert "nas/search.py --resume one" in output and "Traceback" not in error
        assert left_over(processes) == []
        within = any("-step-" in path.name for path in checkpoints(tmp_path, "one"))
        # What is ended at once is not asked to checkpoint.
        assert within or len(signals) > 1
        now = [len(record.epochs) for record in records(tmp_path, "one")]
        assert all(before <= after for before, after in zip(trained, now, strict=False))
        assert {record.outcome for record in records(tmp_path, "one")} <= {"running", "finished", "held", "stopped"}
        process = start(tmp_path, "nas/search.py", "--resume", "one")
    _, error = output_of(process)
    assert process.returncode == 0, error
    ended = records(tmp_path, "one")
    assert sum(record.trained for record in ended) == 3 and all(record.deaths == 0 for record in ended)


def wait_for_words(process: subprocess.Popen[str]) -> None:
    """Waits until a search says that it has heard a signal."""
    assert process.stderr is not None
    while "stopping" not in process.stderr.readline():
        assert process.poll() is None


@pytest.mark.slow
def test_without_its_ray_a_search_ends_and_goes_on_when_it_is_resumed(tmp_path: Path) -> None:
    process = start_search(tmp_path, "one", "--trials", "2")
    wait_for(lambda: checkpoints(tmp_path, "one") and workers(process), process)
    processes = tree(process)
    for raylet in named(processes, "raylet"):
        raylet.kill()
    output, error = process.communicate(timeout=60)
    assert process.returncode == 1 and "Ray's process raylet died" in error
    assert "nas/search.py --resume one" in output
    assert left_over(processes) == []
    assert all(record.deaths == 0 for record in records(tmp_path, "one"))
    done = run(tmp_path, "nas/search.py", "--resume", "one")
    assert done.returncode == 0, done.stderr
    assert [record.outcome for record in records(tmp_path, "one")].count("finished") == 2
