import pytest

from search_spaces.errors import UserError
from trainers.batch_layout import BatchLayout, layout_of

TRAIN_IMAGES = 1149


@pytest.mark.parametrize(("batch_size", "processes"), [(33, 2), (4, 4), (600, 500)])
def test_processes_get_equal_shares_of_at_least_two_images(batch_size: int, processes: int) -> None:
    with pytest.raises(UserError, match=f"recipe.batch_size is {batch_size}: expected a multiple of {processes}, "):
        layout_of(batch_size, TRAIN_IMAGES, processes)
    layout_of(2 * processes, TRAIN_IMAGES, processes)
    with pytest.raises(UserError, match="999 images to train on: expected at least two for each of 500 processes"):
        layout_of(1000, 999, 500)


def test_a_share_is_taken_in_passes() -> None:
    assert layout_of(64, TRAIN_IMAGES, 1) == BatchLayout(64, 1, 1, 64)
    assert layout_of(64, TRAIN_IMAGES, 2) == BatchLayout(64, 2, 1, 64)
    assert layout_of(64, TRAIN_IMAGES, 1, 16, 16) == BatchLayout(64, 1, 4, 16)
    assert layout_of(64, TRAIN_IMAGES, 2, 16, 16) == BatchLayout(64, 2, 2, 16)
    # More than there is to have is all of it.
    assert layout_of(64, TRAIN_IMAGES, 8, 16) == BatchLayout(64, 8, 1, 64)
    with pytest.raises(UserError, match=r"recipe.micro_batch is 24: expected what divides the 64 images .* such as 16"):
        layout_of(64, TRAIN_IMAGES, 1, 24)


@pytest.mark.parametrize(
    ("processes", "micro_batch", "shared_by"),
    [(1, None, 1), (1, 16, 1), (2, 16, 1), (2, 8, 2), (4, 4, 4), (4, None, 1), (8, None, 2)],
)
def test_batch_norm_has_groups_of_one_size(processes: int, micro_batch: int | None, shared_by: int) -> None:
    layout = layout_of(64, TRAIN_IMAGES, processes, micro_batch, 16)
    assert (layout.norm_batch, layout.norm_processes) == (16, shared_by)


@pytest.mark.parametrize(("processes", "micro_batch"), [(1, 8), (2, 4)])
def test_groups_that_cannot_be_made_are_refused(processes: int, micro_batch: int) -> None:
    with pytest.raises(UserError, match=r"recipe.norm_batch is 16: .* recipe.micro_batch=16 may"):
        layout_of(64, TRAIN_IMAGES, processes, micro_batch, 16)


def test_a_set_smaller_than_a_batch_is_one_batch_that_can_be_shared() -> None:
    assert layout_of(4096, TRAIN_IMAGES, 1) == BatchLayout(1149, 1, 1, 1149)
    assert layout_of(4096, TRAIN_IMAGES, 2).batch_size == 1148
    assert layout_of(4096, TRAIN_IMAGES, 2, 64, 32) == BatchLayout(1024, 2, 8, 32)
    assert layout_of(64, 40, norm_batch=16).batch_size == 32
    # A set smaller than a group is a group.
    assert layout_of(64, 10, norm_batch=16) == BatchLayout(10, 1, 1, 10)
