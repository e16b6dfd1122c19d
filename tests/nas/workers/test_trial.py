"""A trial in a worker: from its checkpoint on, in parts where memory is short, and what it reports."""

import dataclasses
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch
from ray import tune
from torch import nn

import nas.workers.trial
from nas.workers.trial import train_trial, trained_epochs
from nas.workers.trial_config import TrialConfig, TrialEnded, WorkerMessage
from tests.support.images import folder_config, make_images
from tests.support.present import present
from tests.support.tiny_training import DATA, ENOUGH_FOR, RECIPE, TINY, short_of_memory, without_time
from tests.support.trials import trial_config
from trainers.checkpoint import newest_sound_checkpoint
from trainers.data.config import KnownFiles
from trainers.data.datasets import ImagesChanged, check_data, examine_data
from trainers.data.file_index import keep_index


def trial(directory: Path, **changes: object) -> TrialConfig:
    fields: dict[str, Any] = {"architecture": TINY, "data": DATA, "data_summary": check_data(DATA), "training": RECIPE}
    return trial_config(checkpoints=str(directory), **(fields | changes))


def test_a_trial_goes_on_from_its_checkpoint_in_two_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = [without_time(result) for result in trained_epochs(trial(tmp_path / "undisturbed"))]
    steps = check_data(DATA).train_images // 256
    # In the last step of the second epoch.
    make, failed = short_of_memory(ENOUGH_FOR, after_passes=2 * steps - 1)
    monkeypatch.setattr(nas.workers.trial, "seeded_model", make)
    found = [without_time(result) for result in trained_epochs(trial(tmp_path / "short"))]
    assert failed == [256]
    assert [result.epoch for result in found] == [1, 2, 3]
    assert found[0] == undisturbed[0] and found[1] != undisturbed[1]
    # Only batch norm tells the parts from the whole.
    assert found[2].train_loss == pytest.approx(undisturbed[2].train_loss, rel=0.1)
    checkpoint = newest_sound_checkpoint(tmp_path / "short")
    assert checkpoint is not None and checkpoint[1]["training"]["micro_batches"] == 2


def test_a_trial_that_was_split_goes_on_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = trial(tmp_path / "one")
    make, failed = short_of_memory(ENOUGH_FOR)
    monkeypatch.setattr(nas.workers.trial, "seeded_model", make)
    expected = [without_time(result) for result in trained_epochs(config)]
    assert failed == [256]
    cut_off = trained_epochs(trial(tmp_path / "two"))
    begun = [without_time(next(cut_off))]
    assert isinstance(cut_off, Generator)
    cut_off.close()
    failed.clear()
    rest = trained_epochs(trial(tmp_path / "two", recorded_epochs=1))
    assert begun + [without_time(result) for result in rest] == expected
    assert failed == []


def test_a_trial_that_is_too_large_in_parts_too_ends_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, failed = short_of_memory(0)
    monkeypatch.setattr(nas.workers.trial, "seeded_model", make)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        list(trained_epochs(trial(tmp_path)))
    assert failed == [256, 128]
    reports: list[dict[str, Any]] = []
    monkeypatch.setattr(tune, "report", reports.append)
    train_trial(trial(tmp_path).to_json())
    (message,) = map(WorkerMessage.from_result, reports)
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
        list(trained_epochs(trial(tmp_path)))
    assert attempts == 1


def test_a_trial_does_not_train_on_images_that_changed_since_its_search_began(tmp_path: Path) -> None:
    config = folder_config(make_images(tmp_path / "images", count=20), image_size=8)
    found = examine_data(config)
    keep_index(tmp_path / "data.index", present(found.index))
    known = KnownFiles(str(tmp_path / "data.index"), found.fingerprint.digest)
    recipe = dataclasses.replace(RECIPE, epochs=1, batch_size=8, warmup_epochs=0.5)
    folders = {"data": config, "data_summary": found.summary, "known_files": known, "training": recipe}
    assert len(list(trained_epochs(trial(tmp_path / "first", **folders)))) == 1
    (tmp_path / "images" / "dog" / "3.png").rename(tmp_path / "images" / "cat" / "3a.png")
    # A worker that has not read the images yet.
    nas.workers.trial._parts.cache_clear()
    with pytest.raises(ImagesChanged, match=r"'dog/3\.png' is gone; 'cat/3a\.png' is new"):
        list(trained_epochs(trial(tmp_path / "second", **folders)))
