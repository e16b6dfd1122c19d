"""Trainings that are cut off: they go on as if nothing had been, in parts where memory is short."""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import torch
from torch import nn

from tests.support.tiny_training import DATA, ENOUGH_FOR, RECIPE, TINY, short_of_memory, without_time
from trainers.batch_layout import layout_of
from trainers.checkpoint import newest_sound_checkpoint
from trainers.data.datasets import check_data, load_train_validation
from trainers.distributed import Processes
from trainers.epoch_result import EpochResult
from trainers.folders import Directory
from trainers.loop import Training
from trainers.model import seeded_model
from trainers.resumable import Pauses, ResumableTraining, train_resumably
from trainers.stopping import Stopped

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


def in_passes(norm_batch: int | None) -> Training:
    """Of 64 images each. Batch norm sees as many, or has its own way with each pass."""
    splits = load_train_validation(DATA)
    layout = None if norm_batch is None else layout_of(RECIPE.batch_size, len(splits[0]), 1, 64, norm_batch)
    made = Training(seeded_model(TINY, check_data(DATA), 1), *splits, RECIPE, seed=1, device="cpu", layout=layout)
    made.micro_batches = RECIPE.batch_size // 64
    return made


def stopped_in_its_sixth_pass(make: Callable[[], Training], folder: Directory) -> tuple[Stopped, list[float]]:
    """Where a training stopped that was to end from its sixth pass on, and how far it was after each pass."""
    done: list[float] = []

    def follow(resumed: ResumableTraining) -> Iterator[EpochResult]:
        def note(training: Training) -> None:
            done.append(training.steps_done())

        return resumed.epochs(Pauses(1e9, lambda: len(done) >= 6, note))

    with pytest.raises(Stopped) as stopped:
        list(train_resumably(make, folder, ALONE, follow))
    return stopped.value, done


def test_it_ends_between_two_passes_and_goes_on_to_the_same_results(tmp_path: Path) -> None:
    def make() -> Training:
        return in_passes(norm_batch=64)

    _, *undisturbed, _ = train_resumably(make, Directory(tmp_path / "whole"), ALONE, told)
    stopped, done = stopped_in_its_sixth_pass(make, Directory(tmp_path / "cut off"))
    # The second of four passes of the second step, which is made anew.
    assert (stopped.epoch, stopped.step) == (1, 1) and done == [0.25, 0.5, 0.75, 1.0, 1.25, 1.5]
    assert list(train_resumably(make, Directory(tmp_path / "cut off"), ALONE, told)) == [0, *undisturbed, 3]


def test_where_a_pass_moves_batch_norm_it_ends_after_the_step(tmp_path: Path) -> None:
    def make() -> Training:
        return in_passes(norm_batch=None)

    _, *undisturbed, _ = train_resumably(make, Directory(tmp_path / "whole"), ALONE, told)
    stopped, done = stopped_in_its_sixth_pass(make, Directory(tmp_path / "cut off"))
    assert (stopped.epoch, stopped.step) == (1, 2) and done[-1] == 2.0
    assert list(train_resumably(make, Directory(tmp_path / "cut off"), ALONE, told)) == [0, *undisturbed, 3]
