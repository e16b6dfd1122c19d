"""Trainings that are cut off: they go on as if nothing had been, in parts where memory is short."""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import torch
from torch import nn

from tests.support.tiny_training import DATA, ENOUGH_FOR, RECIPE, TINY, short_of_memory, without_time
from trainers.checkpoint import newest_sound_checkpoint
from trainers.data.datasets import check_data, load_train_validation
from trainers.distributed import Processes
from trainers.epoch_result import EpochResult
from trainers.folders import Directory
from trainers.loop import Training
from trainers.model import seeded_model
from trainers.resumable import ResumableTraining, train_resumably

T = TypeVar("T")

ALONE = Processes(0, 1, torch.device("cpu"))


def training(make: Callable[..., nn.Module] = seeded_model) -> Training:
    return Training(make(TINY, check_data(DATA), 1), *load_train_validation(DATA), RECIPE, seed=1, device="cpu")


def told(resumed: ResumableTraining) -> Iterator[EpochResult | int]:
    """How many epochs the checkpoint held, each further one, and how many there are in the end."""
    yield len(resumed.results)
    for result in resumed.epochs():
        yield without_time(result)
    yield len(resumed.results)


def test_a_training_that_is_cut_off_goes_on_to_the_same_results(tmp_path: Path) -> None:
    begun, *undisturbed, count = train_resumably(training, Directory(tmp_path / "whole"), ALONE, told)
    assert (begun, count) == (0, 3)
    cut_off = train_resumably(training, Directory(tmp_path / "cut off"), ALONE, told)
    assert [next(cut_off), next(cut_off)] == [0, undisturbed[0]]
    assert isinstance(cut_off, Generator)
    cut_off.close()
    assert list(train_resumably(training, Directory(tmp_path / "cut off"), ALONE, told)) == [1, *undisturbed[1:], 3]
    # A training that is at its end has nothing left to do.
    assert list(train_resumably(training, Directory(tmp_path / "cut off"), ALONE, told)) == [3, 3]


def test_an_epoch_is_checkpointed_before_it_is_handed_on(tmp_path: Path) -> None:
    for item in train_resumably(training, Directory(tmp_path), ALONE, told):
        if isinstance(item, EpochResult):
            found = newest_sound_checkpoint(Directory(tmp_path))
            assert found is not None
            epoch, state = found
            assert epoch == item.epoch and state.keys() == {"training", "results"}
            assert without_time(EpochResult(**state["results"][-1])) == item and len(state["results"]) == epoch


def test_where_memory_is_short_it_goes_on_from_the_checkpoint_in_two_parts(tmp_path: Path) -> None:
    steps = check_data(DATA).train_images // RECIPE.batch_size
    make, failed = short_of_memory(ENOUGH_FOR, after_passes=2 * steps - 1)
    items = list(train_resumably(lambda: training(make), Directory(tmp_path), ALONE, told))
    # The second epoch is cut off in its last step; the first is not trained again.
    assert [item.epoch if isinstance(item, EpochResult) else item for item in items] == [0, 1, 1, 2, 3, 3]
    assert failed == [256]


def test_where_several_processes_train_memory_has_to_suffice(tmp_path: Path) -> None:
    class Several(Processes):
        """The first of two, as far as can be seen without the other."""

        def from_first(self, compute: Callable[[], T]) -> T:
            return compute()

    make, failed = short_of_memory(ENOUGH_FOR)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        list(train_resumably(lambda: training(make), Directory(tmp_path), Several(0, 2, torch.device("cpu")), told))
    assert failed == [256]


def test_the_first_process_alone_writes_checkpoints(tmp_path: Path) -> None:
    items = list(train_resumably(training, Directory(tmp_path), Processes(1, 1, torch.device("cpu")), told))
    assert len(items) == 5 and not list(tmp_path.iterdir())
