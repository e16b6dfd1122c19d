"""How much of a batch is taken at a time where memory is short: the most that a real step shows to fit."""

import pytest
import torch

from tests.support.tiny_training import DATA, RECIPE, TINY, short_of_memory
from trainers.data.datasets import check_data
from trainers.distributed import Processes
from trainers.fitting_batch import fitting_micro_batch

ALONE = Processes(0, 1, torch.device("cpu"))


@pytest.mark.parametrize(
    ("enough_for", "norm_batch", "found", "tried"),
    [(256, 32, 256, []), (100, 32, 64, [256, 128]), (1, 128, 128, [256]), (1, 256, 256, [])],
)
def test_the_most_that_fits_and_divides_is_taken(
    enough_for: int, norm_batch: int, found: int, tried: list[int]
) -> None:
    make, failed = short_of_memory(enough_for)
    assert fitting_micro_batch(TINY, check_data(DATA), RECIPE, norm_batch, ALONE, make) == found
    assert failed == tried


def test_each_process_has_its_share_alone_to_fit() -> None:
    make, failed = short_of_memory(32)
    assert fitting_micro_batch(TINY, check_data(DATA), RECIPE, 32, Processes(0, 4, torch.device("cpu")), make) == 32
    assert failed == [64]
