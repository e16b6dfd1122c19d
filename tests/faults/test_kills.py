"""SIGKILL at random moments, to the driver, its workers, Ray's own processes: a deterministic search ends as ever.

make faults kills 60 times; NAS_KILLS and NAS_KILLS_SEED choose how often, and when.
"""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from nas.records.trial import TrialRecord
from nas.settings.run_directory import run_directory
from tests.entries.test_search import SMALL, start
from tests.faults.searches import LIMIT_SECONDS, left_over, named, records, tree, workers
from tests.support.present import present
from trainers.epoch_result import EpochResult

SEARCH = ("--seed", "3", *SMALL, "training.epochs=4", "search.deterministic=true", "search.minimum_epochs=1")
INHERITING = (*SEARCH, "search.minimum_epochs=2", "search.inherit=true")
VICTIMS = ("driver", "worker", "raylet", "gcs_server")


def begin(directory: Path, name: str, trials: int, settings: Sequence[str]) -> subprocess.Popen[str]:
    """The search under this name, new or resumed."""
    if run_directory(str(directory / "runs"), name).ledger.exists():
        return start(directory, "nas/search.py", "--resume", name)
    return start(
        directory, "nas/search.py", "--space", "resnet_stages", "--name", name, "--trials", str(trials), *settings
    )


def seen(directory: Path, name: str) -> tuple[TrialRecord, ...]:
    return records(directory, name) if run_directory(str(directory / "runs"), name).ledger.exists() else ()


def victim(process: subprocess.Popen[str], kind: str, spared: bool) -> psutil.Process | None:
    """A process of a running search to kill. None where there is none of the kind now, or workers are `spared`."""
    if kind == "driver":
        return psutil.Process(process.pid)
    found = ([] if spared else workers(process)) if kind == "worker" else named(tree(process), kind)
    return found[0] if found else None


def wait_somewhere(process: subprocess.Popen[str], directory: Path, name: str, rng: random.Random) -> None:
    """Until a random moment: anywhere in a search's start or, as often, when it has trained something."""
    if rng.random() < 0.5:
        deadline = time.monotonic() + rng.uniform(0, 8)
    else:
        epochs = sum(len(record.epochs) for record in seen(directory, name))
        while process.poll() is None and sum(len(record.epochs) for record in seen(directory, name)) == epochs:
            time.sleep(0.2)
        deadline = time.monotonic() + rng.uniform(0, 3)
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


def kill_often(
    directory: Path,
    name: str,
    trials: int,
    kills: int,
    victims: Sequence[str],
    rng: random.Random,
    settings: Sequence[str] = SEARCH,
) -> Counter[str]:
    """Runs a search to its end, killing one of its processes up to `kills` times. How many of each kind it were."""
    killed: Counter[str] = Counter()
    process = begin(directory, name, trials, settings)
    finished: dict[int, TrialRecord] = {}
    recorded: dict[int, tuple[EpochResult, ...]] = {}
    processes: list[psutil.Process] = []
    error = ""
    while True:
        target = None
        if killed.total() < kills:
            wait_somewhere(process, directory, name, rng)
            kind = rng.choice(victims)
            # A trial is out when its worker dies twice, as it would be in any search.
            spared = any(record.deaths for record in seen(directory, name))
            target = victim(process, kind, spared) if process.poll() is None else None
        if target is not None:
            processes += tree(process)
            target.kill()
            killed[kind] += 1
        over = process.poll() is not None or killed.total() == kills
        if over or (target is not None and kind != "worker"):
            _, error = process.communicate(timeout=LIMIT_SECONDS)
            assert "Traceback" not in error, error
        found = {record.number: record for record in seen(directory, name)}
        # Before it trains anything a driver has nothing to say of how to go on.
        has_trained = any(len(record.epochs) > len(recorded.get(number, ())) for number, record in found.items())
        if process.poll() == -signal.SIGKILL and has_trained:
            assert f"nas/search.py --resume {name}" in error, error
        # What the front is measured to take comes last.
        ended = [replace(record, inference=None) for record in found.values() if record.outcome == "finished"]
        now = {record.number: record for record in ended}
        assert {number: now.get(number) for number in finished} == finished, "a finished trial was lost or run again"
        finished = now
        # With its seconds: an epoch that was trained again would have others.
        kept = {number: found[number].epochs[: len(epochs)] for number, epochs in recorded.items()}
        assert kept == recorded, "an epoch was lost or run again"
        recorded = {number: record.epochs for number, record in found.items()}
        if process.poll() == 0:
            # One of Ray's that was just starting when its parent died takes a minute to see it.
            assert left_over(processes, seconds=LIMIT_SECONDS) == []
            return killed
        if process.poll() is not None:
            process = begin(directory, name, trials, settings)


def kill_in_searches(
    directory: Path,
    kills: int,
    seed: int,
    trials: int = 8,
    victims: Sequence[str] = VICTIMS,
    settings: Sequence[str] = SEARCH,
) -> Counter[str]:
    """Kills so often in all, over as many searches as it takes, each held against the one that nobody disturbed."""
    undisturbed = begin(directory, "undisturbed", trials, settings)
    output, error = undisturbed.communicate(timeout=LIMIT_SECONDS)
    assert undisturbed.returncode == 0, output + error
    expected = run_directory(str(directory / "runs"), "undisturbed").front.read_bytes()
    of_trials = [(r.number, r.architecture, r.seed, r.outcome, losses(r)) for r in records(directory, "undisturbed")]
    killed: Counter[str] = Counter()
    rng = random.Random(seed)
    while killed.total() < kills:
        name = f"search-{killed.total()}"
        killed += kill_often(directory, name, trials, min(12, kills - killed.total()), victims, rng, settings)
        assert run_directory(str(directory / "runs"), name).front.read_bytes() == expected
        assert [(r.number, r.architecture, r.seed, r.outcome, losses(r)) for r in records(directory, name)] == of_trials
        check_mlflow(directory, name)
    return killed


def losses(record: TrialRecord) -> list[tuple[float, float]]:
    return [(result.train_loss, result.val_loss) for result in record.epochs]


def check_mlflow(directory: Path, name: str) -> None:
    """One closed run a trial, each with every epoch once."""
    client = MlflowClient(f"sqlite:///{directory / 'runs' / 'mlflow.db'}")
    experiment = present(client.get_experiment_by_name("architecture search"))
    (parent,) = client.search_runs([experiment.experiment_id], f"attributes.run_name = '{name}'")
    children = client.search_runs([experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    of_search = records(directory, name)
    assert len(children) == len(of_search)
    assert {run.info.status for run in (parent, *children)} <= {"FINISHED", "KILLED", "FAILED"}
    by_number = {int(run.info.run_name[:4]): run for run in children}
    for record in of_search:
        name = "train_loss" if record.inheritance is None else "inherited_train_loss"
        history = client.get_metric_history(by_number[record.number].info.run_id, name)
        assert sorted(entry.step for entry in history) == [result.epoch for result in record.epochs]


def test_a_search_whose_driver_is_killed_goes_on_and_trains_nothing_twice(tmp_path: Path) -> None:
    # In the middle, by this seed. test_worker_deaths.py kills workers, and the slow test has an undisturbed one.
    assert kill_often(tmp_path, "search", 2, 1, ("driver",), random.Random(2)).total() == 1
    assert [len(record.epochs) for record in records(tmp_path, "search")] == [4, 4]
    check_mlflow(tmp_path, "search")


@pytest.mark.slow
def test_searches_that_are_killed_sixty_times_end_as_if_undisturbed(tmp_path: Path) -> None:
    kills = int(os.environ.get("NAS_KILLS", "60"))
    killed = kill_in_searches(tmp_path, kills, seed=int(os.environ.get("NAS_KILLS_SEED", "1")))
    print(dict(killed))
    assert killed.total() == kills and (kills < 20 or set(killed) == set(VICTIMS))


@pytest.mark.slow
def test_a_search_that_inherits_ends_as_if_undisturbed(tmp_path: Path) -> None:
    assert kill_in_searches(tmp_path, 12, seed=5, trials=16, settings=INHERITING).total() == 12
    of_trials = records(tmp_path, "undisturbed")
    inherited = [record for record in of_trials if record.outcome == "inherited"]
    assert inherited and all(len(record.epochs) == 1 for record in inherited)
    # Once it has ended most checkpoints are gone, and it goes on all the same.
    more = start(tmp_path, "nas/search.py", "--resume", "undisturbed", "--trials", "20")
    output, error = more.communicate(timeout=LIMIT_SECONDS)
    assert more.returncode == 0, output + error
    assert len({record.architecture for record in records(tmp_path, "undisturbed")}) == 20
    assert not any(record.outcome == "failed" for record in records(tmp_path, "undisturbed"))
