"""A GPU's memory that does not suffice: the error is raised for real, on the CPU, by batches above a size."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import nas.workers.trial
import trainers.full.full_training
from nas.workers.trial import train_trial, trained_epochs
from nas.workers.trial_config import TrialConfig, TrialEnded, WorkerMessage
from search_spaces.architecture import Architecture, Convolution
from tests.support.bundles import provenance
from tests.support.trials import trial_config
from trainers.bundle.contents import Bundle
from trainers.bundle.files import write_bundle
from trainers.checkpoint import newest_sound_checkpoint
from trainers.data.config import DATA_DEFAULTS
from trainers.data.datasets import check_data
from trainers.epoch_result import EpochResult
from trainers.loop import Training
from trainers.model import seeded_model
from trainers.recipe import FULL_TRAINING, Recipe
from trainers.train import main

TINY = Architecture("convolution", 8, ((Convolution(),),) * 4)
DATA = dataclasses.replace(DATA_DEFAULTS["digits"], image_size=8)
RECIPE = dataclasses.replace(FULL_TRAINING["digits"], epochs=3, batch_size=256, warmup_epochs=1.0)
# Of what a test trains, the whole batch is too much and its half is not.
ENOUGH_FOR = 128


class Samples:
    """A data set of one batch."""

    def __init__(self, inputs: Tensor, labels: Tensor) -> None:
        self._inputs, self._labels = inputs, labels

    def __len__(self) -> int:
        return len(self._labels)

    def batches(self, indices: Any, device: object, augmentation: object = None) -> Iterator[tuple[Tensor, Tensor]]:
        for index in indices:
            yield self._inputs[index], self._labels[index]


def network() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(2, 5, 3), nn.GELU(), nn.Flatten(), nn.Linear(5 * 16, 4)).double()


def one_epoch(count: int, micro_batches: int) -> tuple[nn.Sequential, EpochResult]:
    """A network after one step on `count` images, with the gradients that it took."""
    torch.manual_seed(5)
    samples = Samples(torch.randn(count, 2, 6, 6, dtype=torch.float64), torch.arange(count) % 4)
    recipe = Recipe(1, count, 0.1, 0.9, 0.01, 0.1, 0.0, 0.0, "none", "float32")
    run = Training(model := network(), samples, samples, recipe, seed=0, device="cpu")
    run.micro_batches = micro_batches
    (result,) = run.epochs()
    return model, result


@pytest.mark.parametrize("count", [2, 3, 7, 16, 33])
@pytest.mark.parametrize("micro_batches", [2, 5])
def test_gradients_and_loss_of_a_split_batch_are_those_of_the_whole(count: int, micro_batches: int) -> None:
    (whole, expected), (split, found) = one_epoch(count, 1), one_epoch(count, micro_batches)
    for one, other in zip(whole.parameters(), split.parameters(), strict=True):
        assert one.grad is not None and one.grad.abs().max() > 1e-6
        torch.testing.assert_close(other.grad, one.grad, rtol=0, atol=1e-12)
        torch.testing.assert_close(other, one, rtol=0, atol=1e-12)
    assert found.train_loss == pytest.approx(expected.train_loss, abs=1e-6)


def test_an_undivided_batch_is_computed_to_the_bit_as_if_there_were_no_parts() -> None:
    count = 33
    model, result = one_epoch(count, 1)
    torch.manual_seed(5)
    inputs, labels = torch.randn(count, 2, 6, 6, dtype=torch.float64), torch.arange(count) % 4
    recipe = Recipe(1, count, 0.1, 0.9, 0.01, 0.1, 0.0, 0.0, "none", "float32")
    samples = Samples(inputs, labels)
    (order,) = Training(naive := network(), samples, samples, recipe, seed=0, device="cpu")._order(1)
    loss = F.cross_entropy(naive(inputs[order]), labels[order], label_smoothing=0.1)
    loss.backward()
    for one, other in zip(model.parameters(), naive.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)
    assert result.train_loss == loss.to(torch.float32).item()


def short_of_memory(enough_for: int, after_passes: int = 0) -> tuple[Callable[..., nn.Module], list[int]]:
    """Makes models that run out of memory, after some passes, in training on more than so many images.

    And the list of the sizes on which they do.
    """
    failed: list[int] = []
    passes = 0

    def check(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        nonlocal passes
        passes += module.training
        if module.training and passes > after_passes and len(arguments[0]) > enough_for:
            failed.append(len(arguments[0]))
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    def make(*arguments: Any) -> nn.Module:
        model = seeded_model(*arguments)
        model.register_forward_pre_hook(check)
        return model

    return make, failed


def trial(directory: Path, **changes: object) -> TrialConfig:
    fields = {"architecture": TINY, "data": DATA, "data_summary": check_data(DATA), "training": RECIPE}
    return trial_config(checkpoints=str(directory), **(fields | changes))


def without_time(result: EpochResult) -> EpochResult:
    return dataclasses.replace(result, epoch_seconds=0.0)


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
    monkeypatch.setattr(nas.workers.trial.tune, "report", reports.append)
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


def test_a_full_training_is_split_too_and_says_when_that_does_not_suffice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = Bundle(TINY, RECIPE, DATA, check_data(DATA), provenance(trial=42))
    write_bundle(tmp_path / "knee", bundle, seeded_model(TINY, bundle.data_summary, 7).state_dict())
    make, failed = short_of_memory(ENOUGH_FOR)
    monkeypatch.setattr(trainers.full.full_training, "seeded_model", make)
    assert main([str(tmp_path / "knee"), "--device", "cpu"]) == 0
    assert failed == [256]
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")] == [
        "1/3", "2/3", "3/3",
    ]  # fmt: skip
    make, failed = short_of_memory(0)
    monkeypatch.setattr(trainers.full.full_training, "seeded_model", make)
    assert main([str(tmp_path / "knee"), "--device", "cpu", "--out", str(tmp_path / "other")]) == 1
    error = capsys.readouterr().err
    assert failed == [256, 128] and error.startswith("error: the GPU's memory does not suffice")
    assert error.count("\n") == 1
