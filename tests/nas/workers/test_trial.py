"""A trial in a worker: from its checkpoint on, in parts where memory is short, and what it reports."""

import dataclasses
import functools
import os
import signal
import time
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from ray import tune
from torch import nn

import nas.workers.end_requests
import nas.workers.trial
from nas.workers.end_requests import SIGNALS, EndRequests, end_asked_for
from nas.workers.failure_causes import StorageMissing
from nas.workers.trial import failures_reported, train_trial, trained_epochs, warnings_so_far
from nas.workers.trial_config import (
    EpochReport,
    ParentWeights,
    SearchHalted,
    TrialConfig,
    TrialEnded,
    TrialPreempted,
    WorkerMessage,
    WorkerReport,
)
from search_spaces.architecture import Architecture, Attention, Operator
from tests.cluster.chaos_account import trained_again
from tests.support.images import folder_config, make_images
from tests.support.present import present
from tests.support.s3_server import s3_server
from tests.support.tiny_training import DATA, ENOUGH_FOR, RECIPE, TINY, short_of_memory, without_time
from tests.support.trials import trial_config
from trainers.checkpoint import newest_sound_checkpoint
from trainers.data.config import KnownFiles
from trainers.data.datasets import ImagesChanged, check_data, examine_data, load_train_validation
from trainers.data.file_index import keep_index
from trainers.distributed import Processes
from trainers.epoch_result import EpochResult
from trainers.folders import Directory
from trainers.loop import Training
from trainers.model import seeded_model
from trainers.stopping import Stopped
from trainers.storage.address import StorageAddress
from trainers.storage.remote_folder import RemoteFolder

ALONE = Processes(0, 1, torch.device("cpu"))


@pytest.fixture
def requests() -> Iterator[EndRequests]:
    """Those of a worker, which this process is; its driver wants nothing."""
    before = {number: signal.getsignal(number) for number in (*SIGNALS, signal.SIGALRM)}
    found = EndRequests(lambda: False)
    found.listen()
    yield found
    signal.alarm(0)
    for number, handler in before.items():
        signal.signal(number, handler)


def epochs_of(config: TrialConfig) -> Iterator[EpochResult]:
    return trained_epochs(config, EndRequests(lambda: False), ALONE)


def reports_of(config: TrialConfig, requests: EndRequests) -> list[WorkerReport]:
    """The results of its epochs, and what ended it."""
    reports: list[WorkerReport] = []
    with failures_reported(config, requests, reports.append):
        reports.extend(map(EpochReport, trained_epochs(config, requests, ALONE)))
    return reports


def trial(directory: Path, **changes: object) -> TrialConfig:
    fields: dict[str, Any] = {"architecture": TINY, "data": DATA, "data_summary": check_data(DATA), "training": RECIPE}
    return trial_config(checkpoints=str(directory), **(fields | changes))


def test_a_trial_goes_on_from_its_checkpoint_in_two_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = [without_time(result) for result in epochs_of(trial(tmp_path / "undisturbed"))]
    steps = check_data(DATA).train_images // 256
    # In the last step of the second epoch.
    make, failed = short_of_memory(ENOUGH_FOR, after_passes=2 * steps - 1)
    monkeypatch.setattr(nas.workers.trial, "seeded_model", make)
    found = [without_time(result) for result in epochs_of(trial(tmp_path / "short"))]
    assert failed == [256]
    assert [result.epoch for result in found] == [1, 2, 3]
    assert found[0] == undisturbed[0] and found[1] != undisturbed[1]
    # Only batch norm tells the parts from the whole.
    assert found[2].train_loss == pytest.approx(undisturbed[2].train_loss, rel=0.1)
    checkpoint = newest_sound_checkpoint(Directory(tmp_path / "short"))
    assert checkpoint is not None and checkpoint[1]["training"]["micro_batches"] == 2


def test_a_trial_that_was_split_goes_on_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = trial(tmp_path / "one")
    make, failed = short_of_memory(ENOUGH_FOR)
    monkeypatch.setattr(nas.workers.trial, "seeded_model", make)
    expected = [without_time(result) for result in epochs_of(config)]
    assert failed == [256]
    cut_off = epochs_of(trial(tmp_path / "two"))
    begun = [without_time(next(cut_off))]
    assert isinstance(cut_off, Generator)
    cut_off.close()
    failed.clear()
    rest = epochs_of(trial(tmp_path / "two", recorded_epochs=1))
    assert begun + [without_time(result) for result in rest] == expected
    assert failed == []


def test_a_trial_whose_checkpoints_are_gone_says_that_it_was_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[dict[str, Any]] = []
    monkeypatch.setattr(tune, "report", reports.append)
    train_trial(trial(tmp_path, recorded_epochs=2).to_config())
    (message,) = map(WorkerMessage.from_result, reports)
    assert isinstance(message.report, EpochReport) and message.report.result.epoch == 3
    assert message.warnings == (
        "its checkpoints end with epoch 0 of the 2 that are recorded: those since were trained again",
    )
    # The account of a search on machines that misbehave goes by that line.
    assert trained_again(Counter(), message.warnings) == 2
    train_trial(trial(tmp_path, recorded_epochs=2).to_config())
    assert WorkerMessage.from_result(reports[1]).warnings == ()


def test_a_directory_that_falls_away_in_mid_trial_is_not_made_anew(tmp_path: Path, requests: EndRequests) -> None:
    directory = tmp_path / "runs" / "search" / "checkpoints" / "0000"
    directory.mkdir(parents=True)
    epochs = epochs_of(trial(directory))
    assert next(epochs).epoch == 1
    (tmp_path / "runs").rename(tmp_path / "elsewhere")
    with pytest.raises(StorageMissing, match=r"the directory of the search, .* is not there"):
        next(epochs)
    assert not (tmp_path / "runs").exists()
    # Once it is back, nothing but the epoch that could not be kept is trained again.
    (tmp_path / "elsewhere").rename(tmp_path / "runs")
    assert [result.epoch for result in epochs_of(trial(directory, recorded_epochs=1))] == [2, 3]
    assert not warnings_so_far()


def with_another_stage(operator: Operator) -> Architecture:
    return dataclasses.replace(TINY, stages=(*TINY.stages[:-1], (operator,) * len(TINY.stages[-1])))


CHILD = with_another_stage(Attention(3, 2, "absolute"))


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> ParentWeights:
    directory = tmp_path_factory.mktemp("parent")
    list(epochs_of(trial(directory)))
    return ParentWeights(0, TINY, str(directory))


def inheriting(directory: Path, parent: ParentWeights, **changes: object) -> TrialConfig:
    fields: dict[str, Any] = {"architecture": CHILD, "seed": 7, "training": RECIPE.shortened(2), "weights": parent}
    return trial(directory, **(fields | changes))


def test_a_trial_begins_with_the_weights_that_were_evaluated_of_its_parent(
    tmp_path: Path, parent: ParentWeights
) -> None:
    found = [without_time(result) for result in epochs_of(inheriting(tmp_path, parent))]
    state = present(newest_sound_checkpoint(Directory(Path(parent.checkpoints))))[1]["training"]
    assert RECIPE.ema_decay > 0
    model = seeded_model(CHILD, check_data(DATA), 7)
    shared = {name: value for name, value in state["averaged"].items() if not name.startswith("stages.3.")}
    model.load_state_dict(model.state_dict() | shared)
    expected = Training(model, *load_train_validation(DATA), RECIPE.shortened(2), seed=7, device="cpu")
    assert found == list(map(without_time, expected.epochs()))
    from_scratch = [without_time(one) for one in epochs_of(inheriting(tmp_path / "scratch", parent, weights=None))]
    assert from_scratch != found and len(from_scratch) == len(found) == 2


def test_a_trial_that_inherited_goes_on_from_its_own_checkpoint(tmp_path: Path, parent: ParentWeights) -> None:
    expected = [without_time(result) for result in epochs_of(inheriting(tmp_path / "whole", parent))]
    cut_off = epochs_of(inheriting(tmp_path / "cut", parent))
    begun = [without_time(next(cut_off))]
    assert isinstance(cut_off, Generator)
    cut_off.close()
    rest = epochs_of(inheriting(tmp_path / "cut", parent, recorded_epochs=1))
    assert begun + [without_time(result) for result in rest] == expected


def test_weights_that_are_gone_end_what_was_to_begin_with_them(
    tmp_path: Path, parent: ParentWeights, requests: EndRequests
) -> None:
    gone = dataclasses.replace(parent, number=12, checkpoints=str(tmp_path / "nothing"))
    (report,) = reports_of(inheriting(tmp_path / "child", gone), requests)
    assert report == TrialEnded("inherited", "nothing was inherited: the checkpoints of trial 12 are gone")


def test_a_trial_that_is_too_large_in_parts_too_ends_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, failed = short_of_memory(0)
    monkeypatch.setattr(nas.workers.trial, "seeded_model", make)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        list(epochs_of(trial(tmp_path)))
    assert failed == [256, 128]
    reports: list[dict[str, Any]] = []
    monkeypatch.setattr(tune, "report", reports.append)
    warnings_so_far().append("what its worker warned of when the trial before had reported all")
    train_trial(trial(tmp_path).to_config())
    (message,) = map(WorkerMessage.from_result, reports)
    assert all("the trial before" not in warning for warning in message.warnings)
    assert isinstance(message.report, TrialEnded) and message.report.outcome == "oom"
    assert "each batch in two parts" in message.report.reason


def test_any_other_error_is_no_want_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = 0

    def fail(*arguments: object) -> nn.Module:
        nonlocal attempts
        attempts += 1
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(nas.workers.trial, "seeded_model", fail)
    with pytest.raises(RuntimeError, match="illegal"):
        list(epochs_of(trial(tmp_path)))
    assert attempts == 1


def test_a_trial_does_not_train_on_images_that_changed_since_its_search_began(tmp_path: Path) -> None:
    config = folder_config(make_images(tmp_path / "images", count=20), image_size=8)
    found = examine_data(config)
    keep_index(tmp_path / "data.index", present(found.index))
    known = KnownFiles(str(tmp_path / "data.index"), found.fingerprint.digest)
    recipe = dataclasses.replace(RECIPE, epochs=1, batch_size=8, warmup_epochs=0.5)
    folders = {"data": config, "data_summary": found.summary, "known_files": known, "training": recipe}
    assert len(list(epochs_of(trial(tmp_path / "first", **folders)))) == 1
    (tmp_path / "images" / "dog" / "3.png").rename(tmp_path / "images" / "cat" / "3a.png")
    # A worker that has not read the images yet.
    nas.workers.trial._parts.cache_clear()
    with pytest.raises(ImagesChanged, match=r"'dog/3\.png' is gone; 'cat/3a\.png' is new"):
        list(epochs_of(trial(tmp_path / "second", **folders)))


def weights_of(directory: Path) -> dict[str, torch.Tensor]:
    state = present(newest_sound_checkpoint(Directory(directory)))[1]["training"]
    weights: dict[str, torch.Tensor] = state["averaged"]
    return weights


@pytest.mark.parametrize(("number", "step"), [(signal.SIGTERM, 1), (signal.SIGUSR1, 3), (signal.SIGTERM, 7)])
def test_a_trial_whose_worker_is_told_to_end_at_any_step_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requests: EndRequests, number: signal.Signals, step: int
) -> None:
    undisturbed = [without_time(result) for result in epochs_of(trial(tmp_path / "undisturbed"))]
    steps = 0

    def count(module: nn.Module, arguments: object) -> None:
        nonlocal steps
        steps += module.training
        if steps == step and module.training:
            os.kill(os.getpid(), number)

    def make(*arguments: Any) -> nn.Module:
        model = seeded_model(*arguments)
        model.register_forward_pre_hook(count)
        return model

    monkeypatch.setattr(nas.workers.trial, "seeded_model", make)
    *before, last = reports_of(trial(tmp_path / "cut"), requests)
    assert last == TrialPreempted() and len(before) == (step - 1) // 4 and requests.by_signal
    # Four steps an epoch.
    assert (tmp_path / "cut" / f"epoch-00000{step // 4}-step-00000000{step % 4}.checkpoint").exists()
    rest = epochs_of(trial(tmp_path / "cut", recorded_epochs=len(before)))
    found = [report.result for report in before if isinstance(report, EpochReport)] + list(rest)
    assert list(map(without_time, found)) == undisturbed
    expected, weights = weights_of(tmp_path / "undisturbed"), weights_of(tmp_path / "cut")
    assert all(torch.equal(expected[name], weights[name]) for name in expected)


def test_a_trial_that_the_driver_wants_to_end_is_checkpointed_after_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        list(trained_epochs(trial(tmp_path), EndRequests(lambda: True), ALONE))
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-000000-step-000000001.checkpoint"]
    # Without a Ray there is no driver to ask.
    assert not end_asked_for()


def test_checkpoints_within_an_epoch_come_by_time(tmp_path: Path) -> None:
    next(epochs_of(trial(tmp_path, checkpoint_seconds=0.0)))
    names = sorted(path.name for path in tmp_path.iterdir())
    # The last step of the epoch, and the epoch.
    assert names == ["epoch-000000-step-000000004.checkpoint", "epoch-000001.checkpoint"]


def test_what_fails_once_a_worker_was_told_to_end_is_no_fault_of_the_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requests: EndRequests
) -> None:
    def fail(*arguments: object) -> nn.Module:
        os.kill(os.getpid(), signal.SIGTERM)
        raise RuntimeError("DataLoader worker (pid 1) exited unexpectedly")

    monkeypatch.setattr(nas.workers.trial, "seeded_model", fail)
    with requests.heeded():
        assert reports_of(trial(tmp_path), requests) == [TrialPreempted()]


def test_a_worker_that_trains_nothing_or_comes_to_no_step_ends_when_it_is_told_to(
    monkeypatch: pytest.MonkeyPatch, requests: EndRequests
) -> None:
    with pytest.raises(SystemExit):
        os.kill(os.getpid(), signal.SIGUSR1)
    monkeypatch.setattr(nas.workers.end_requests, "GRACE_SECONDS", 1)
    with pytest.raises(SystemExit), requests.heeded():
        os.kill(os.getpid(), signal.SIGTERM)
        assert requests.requested()
        time.sleep(30)


def test_a_trial_goes_on_from_a_storage_and_is_no_failure_of_its_own_where_that_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the same bits as in a directory; of images in folders the index comes from there, too."""
    images = folder_config(make_images(tmp_path / "images", count=20), image_size=8)
    recipe = dataclasses.replace(RECIPE, batch_size=8, warmup_epochs=0.5)
    # An index of folders that have just changed is not believed.
    for directory in (tmp_path / "images", *(tmp_path / "images").iterdir()):
        os.utime(directory, (10**9, 10**9))
    examined = examine_data(images)
    keep_index(tmp_path / "data.index", present(examined.index))
    with s3_server() as server:
        folder = RemoteFolder(StorageAddress.of(f"s3://{server.make_bucket()}/runs").located())
        folder.write("data.index", (tmp_path / "data.index").read_bytes())
        index = str(folder.inside("data.index"))
        kinds: dict[str, Any] = {"data": images, "data_summary": examined.summary, "training": recipe}

        def at(place: object, index: str, **changes: object) -> TrialConfig:
            known = KnownFiles(index, examined.fingerprint.digest)
            return trial_config(architecture=TINY, checkpoints=str(place), known_files=known, **kinds, **changes)

        expected = [without_time(result) for result in epochs_of(at(tmp_path / "0000", "no index"))]
        # What is read once is read anew, and scanned by nobody.
        nas.workers.trial._parts.cache_clear()
        monkeypatch.setattr("trainers.data.datasets.scan_files", None)
        cut_off = epochs_of(at(folder.inside("0000"), index))
        begun = [without_time(next(cut_off))]
        assert isinstance(cut_off, Generator)
        cut_off.close()
        rest = [without_time(result) for result in epochs_of(at(folder.inside("0000"), index, recorded_epochs=1))]
        assert begun + rest == expected
        assert folder.inside("0000").names() == ["epoch-000002.checkpoint", "epoch-000003.checkpoint"]
        impatient = functools.partial(RemoteFolder, patience_seconds=0.0)
        monkeypatch.setattr(nas.workers.trial, "RemoteFolder", impatient)
        server.stop()
        (report,) = reports_of(at(folder.inside("0001"), index), EndRequests(lambda: False))
        assert isinstance(report, SearchHalted) and report.cause == "lost storage"
        assert f"{folder.inside('0001')} cannot be listed: AWS Error NETWORK_CONNECTION" in report.reason
