"""How long a search that has trained much takes to go on: what resuming costs, and when something is trained again.

python -m tests.benchmarks.resume [--trials 1000]
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

from nas.driver.command_line import read_command
from nas.engine.start import start_engine
from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.ledger.location import open_ledger
from nas.records.trial import TrialRecord
from nas.settings.command import Command
from nas.settings.run_directory import RunDirectory, run_directory
from tests.support.searches import unsynchronised_sqlite
from trainers.data.datasets import check_data
from trainers.epoch_result import EpochResult

T = TypeVar("T")

PROJECT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 600


def filled(command: Command, directory: RunDirectory, trials: int) -> None:
    """A ledger of so many finished trials, none of which was ever trained."""
    data = check_data(command.data)
    directory.path.mkdir(parents=True)
    header = command.header(data, 2, "unknown")
    rng = random.Random(0)
    with unsynchronised_sqlite():
        ledger = Ledger.create(ledger_url(directory.ledger), directory.name, header)
        known: set[str] = set()
        while len(known) < trials:
            architecture = command.space.sample(rng)
            if architecture.id in known:
                continue
            known.add(architecture.id)
            cost = data.cost(architecture)
            number = ledger.next_number
            ledger.register(
                TrialRecord(number, architecture, cost.flops, cost.params, number, "running"), command.space
            )
            for epoch in range(1, command.training.epochs + 1):
                accuracy = 1 - (1 / cost.flops**0.05) * rng.uniform(0.3, 0.6) / epoch**0.3
                ledger.record_epoch(number, EpochResult(epoch, 0.5, 0.5, accuracy, 0.1, 1.0))
            ledger.end(number, "finished")


def timed(what: str, call: Callable[[], T]) -> T:
    started = time.perf_counter()
    result = call()
    print(f"{what:<60}{time.perf_counter() - started:>8.2f} s", flush=True)
    return result


def seconds_to_first_epoch(runs: Path, *arguments: str) -> float:
    """From the command to the first checkpoint that a trial then writes, the process included; then it is killed."""
    command = [sys.executable, str(PROJECT / "nas" / "search.py"), "--runs-dir", str(runs), *arguments]
    before = checkpoints(runs)
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not checkpoints(runs) - before:
            assert process.poll() is None and time.perf_counter() - started < LIMIT_SECONDS
            time.sleep(0.05)
        return time.perf_counter() - started
    finally:
        below = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        # Ray's own processes see for themselves that their driver is gone.
        psutil.wait_procs(below, timeout=60)


def checkpoints(runs: Path) -> set[Path]:
    return set(runs.glob("*/checkpoints/*/epoch-*.checkpoint"))


NEW = ("--space", "resnet_stages", "data=digits", "--name", "new")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    trials = parser.parse_args().trials
    with tempfile.TemporaryDirectory() as scratch:
        runs = Path(scratch, "runs")
        command = read_command(["--space", "resnet_stages", "data=digits", "--name", "one", "--runs-dir", str(runs)])
        directory = run_directory(str(runs), "one")
        filled(command, directory, trials)
        limit = str(trials + 2)
        resumed = read_command(["--resume", "one", "--runs-dir", str(runs), "--trials", limit])
        ledger = timed(f"the ledger of {trials:,} finished trials is read", lambda: open_ledger(directory, None))
        data = check_data(resumed.data)
        epochs = resumed.training.epochs
        engine = timed("the engine is made", lambda: start_engine(ledger, resumed.space, data, resumed.search, epochs))
        timed("the first proposal is made", engine.next_assignment)
        seconds = seconds_to_first_epoch(runs, "--resume", "one", "--trials", limit)
        print(f"{'from the command to the first epoch of a trial':<60}{seconds:>8.2f} s")
        fresh = seconds_to_first_epoch(Path(scratch, "fresh"), *NEW)
        print(f"{'the same of a new search':<60}{fresh:>8.2f} s")
        killed = seconds_to_first_epoch(Path(scratch, "fresh"), "--resume", "new")
        print(f"{'the same of that search, its driver killed just then':<60}{killed:>8.2f} s")


if __name__ == "__main__":
    main()
