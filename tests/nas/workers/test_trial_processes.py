"""Trials that several processes train: as equal as trainings are, and nothing of them stays when one is killed.

How equal: to the bit with groups of batch norm; with batch norm over the whole batch 5e-3 of the loss after an epoch.
"""

import dataclasses
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from nas.workers.end_requests import EndRequests
from nas.workers.trial import trained_epochs
from nas.workers.trial_config import (
    EpochReport,
    ParentWeights,
    TrialConfig,
    TrialEnded,
    TrialFailed,
    TrialPreempted,
    WorkerReport,
)
from nas.workers.trial_processes import TrialProcesses
from tests.faults.searches import left_over
from tests.support.present import present
from tests.support.tiny_training import DATA, RECIPE, TINY, without_time
from tests.support.trials import trial_config
from trainers.checkpoint import newest_sound_checkpoint
from trainers.data.datasets import check_data
from trainers.distributed import Processes
from trainers.epoch_result import EpochResult
from trainers.folders import Directory

GROUPED = dataclasses.replace(RECIPE, epochs=2, norm_batch=128)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trial(directory: Path, processes: int, **changes: object) -> TrialConfig:
    fields: dict[str, Any] = {"architecture": TINY, "data": DATA, "data_summary": check_data(DATA), "training": GROUPED}
    return trial_config(checkpoints=str(directory), processes=processes, **(fields | changes))


def alone(config: TrialConfig) -> list[EpochResult]:
    requests = EndRequests(lambda: False)
    found = trained_epochs(config, requests, Processes(0, 1, torch.device("cpu")))
    return list(map(without_time, found))


def results(reports: list[WorkerReport]) -> list[EpochResult]:
    return [without_time(report.result) for report in reports if isinstance(report, EpochReport)]


def together(config: TrialConfig, wants_end: bool = False) -> list[WorkerReport]:
    with TrialProcesses(config, EndRequests(lambda: wants_end)) as processes:
        return [message.report for message in processes.messages()]


def weights(directory: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = present(newest_sound_checkpoint(Directory(directory)))[1]["training"]["averaged"]
    return found


@pytest.fixture(scope="module")
def by_one(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[EpochResult]]:
    directory = tmp_path_factory.mktemp("one")
    return directory, alone(trial(directory, 1))


def test_two_processes_that_lose_one_go_on_to_what_one_trains(
    by_one: tuple[Path, list[EpochResult]], tmp_path: Path
) -> None:
    directory, expected = by_one
    reports: list[WorkerReport] = []
    with TrialProcesses(trial(tmp_path, 2), EndRequests(lambda: False)) as processes:
        members = [psutil.Process(number) for number in processes.ids]
        for message in processes.messages():
            reports.append(message.report)
            if len(reports) == 1:
                listening = {
                    one.laddr.ip for each in members for one in each.net_connections() if one.status == "LISTEN"
                }
                assert listening <= {"127.0.0.1"}
                members[1].kill()
    assert reports[1:] == [TrialFailed("death", "process 2 of its 2 was killed by SIGKILL", "")]
    assert left_over(members) == []
    reports += together(trial(tmp_path, 2, recorded_epochs=1))
    assert [result.val_accuracy for result in results(reports)] == [result.val_accuracy for result in expected]
    assert [r.train_loss for r in results(reports)] == pytest.approx([r.train_loss for r in expected], rel=1e-6)
    one, two = weights(directory), weights(tmp_path)
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.slow
def test_two_processes_begin_with_the_same_weights(by_one: tuple[Path, list[EpochResult]], tmp_path: Path) -> None:
    inherited = ParentWeights(0, TINY, str(by_one[0]))
    expected = alone(trial(tmp_path / "one", 1, seed=7, weights=inherited))
    assert [one.val_accuracy for one in results(together(trial(tmp_path / "two", 2, seed=7, weights=inherited)))] == [
        one.val_accuracy for one in expected
    ]
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert all(torch.equal(one[name], two[name]) for name in one)
    from_scratch = alone(trial(tmp_path / "scratch", 1, seed=7))
    assert from_scratch != expected


@pytest.mark.slow
def test_two_processes_are_checkpointed_when_they_are_to_end(
    by_one: tuple[Path, list[EpochResult]], tmp_path: Path
) -> None:
    assert together(trial(tmp_path, 2), wants_end=True) == [TrialPreempted()]
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-000000-step-000000001.checkpoint"]
    together(trial(tmp_path, 2))
    one, two = weights(by_one[0]), weights(tmp_path)
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.slow
def test_one_that_is_told_to_end_ends_all_in_order(tmp_path: Path) -> None:
    reports: list[WorkerReport] = []
    with TrialProcesses(trial(tmp_path, 2), EndRequests(lambda: False)) as processes:
        for message in processes.messages():
            reports.append(message.report)
            if len(reports) == 1:
                os.kill(processes.ids[1], signal.SIGTERM)
    assert reports[1:] == [TrialPreempted()]


@pytest.mark.slow
def test_batch_norm_of_two_processes_sees_the_whole_batch(tmp_path: Path) -> None:
    whole = dataclasses.replace(RECIPE, epochs=1, warmup_epochs=0.0)
    (expected,) = alone(trial(tmp_path / "one", 1, training=whole))
    (found,) = results(together(trial(tmp_path / "two", 2, training=whole)))
    assert found.train_loss == pytest.approx(expected.train_loss, rel=5e-3)


@pytest.mark.slow
def test_what_fails_in_all_of_them_is_told_once(tmp_path: Path) -> None:
    diverging = dataclasses.replace(GROUPED, learning_rate=1e30)
    (report,) = together(trial(tmp_path / "one", 2, training=diverging))
    assert isinstance(report, TrialEnded) and report.outcome == "diverged"
    gone = dataclasses.replace(DATA, name="image_folder", root=str(tmp_path / "gone"))
    (report,) = together(trial(tmp_path / "two", 2, data=gone))
    assert isinstance(report, TrialFailed) and report.cause == "data"
