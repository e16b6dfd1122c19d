"""Which samples a batch holds: each image once, or spread as often as is asked for, and alike on any layout."""

import pytest
import torch

from trainers.batch_layout import BatchLayout, layout_of
from trainers.sample_order import epoch_samples, share_of


@pytest.mark.parametrize(("images", "steps"), [(40, 1), (64, 1), (130, 2), (65, 1)])
def test_a_rest_is_dropped_and_a_small_set_is_one_batch(images: int, steps: int) -> None:
    layout = layout_of(64, images)
    assert layout.batch_size == min(64, images) and images // layout.batch_size == steps
    orders = [epoch_samples(0, epoch, images, steps, layout.batch_size, 1).flatten() for epoch in (1, 2)]
    for order in orders:
        assert len(order) == steps * min(64, images) == len(order.unique())
        assert order.min() >= 0 and order.max() < images
    assert not torch.equal(*orders)


def test_processes_share_every_global_batch() -> None:
    def order(rank: int, world_size: int, micro_batch: int | None = None) -> torch.Tensor:
        return share_of(layout_of(64, 200, world_size, micro_batch, micro_batch), rank, mixes=False).place_L

    assert torch.equal(order(0, 1), torch.cat([order(0, 2), order(1, 2)])) and len(order(0, 2)) == 32
    # In passes of 16 the neighbours of a pass are the same on any number of processes.
    whole, first, second = order(0, 1, 16), order(0, 2, 16), order(1, 2, 16)
    assert torch.equal(whole, torch.cat([first[:16], second[:16], first[16:], second[16:]]))


@pytest.mark.parametrize(("batch", "repeats"), [(12, 3), (13, 3), (6, 2), (6, 6)])
def test_a_batch_holds_its_images_as_often_as_is_asked_far_from_each_other(batch: int, repeats: int) -> None:
    images, steps, distinct = 100, 7, -(-batch // repeats)
    samples = epoch_samples(3, 2, images, steps, batch, repeats)
    assert samples.shape == (steps, batch) and len(samples.unique()) == steps * batch
    once = epoch_samples(3, 2, images, steps, batch, 1).flatten()[: steps * distinct].view(steps, distinct)
    for row, indices in zip(samples, once, strict=True):
        assert torch.equal(row[:distinct], indices)
        assert torch.equal(row % images, indices[torch.arange(batch) % distinct])


LAYOUTS = [
    BatchLayout(12, 1, 1, 12), BatchLayout(12, 1, 4, 3), BatchLayout(12, 2, 2, 3), BatchLayout(12, 4, 1, 3),
    BatchLayout(12, 2, 3, 2), BatchLayout(12, 2, 1, 6), BatchLayout(15, 1, 1, 15), BatchLayout(15, 3, 1, 5),
    BatchLayout(15, 5, 1, 3),
]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_everybody_has_the_same_partner_on_any_layout(layout: BatchLayout) -> None:
    whole = share_of(BatchLayout(layout.batch_size, 1, 1, layout.batch_size), 0, mixes=True)
    assert whole.partner_P is not None and len(whole.place_L) == layout.batch_size
    for rank in range(layout.world_size):
        share = share_of(layout, rank, mixes=True)
        plain = share_of(layout, rank, mixes=False)
        assert share.partner_P is not None and plain.partner_P is None
        mine = share.place_L[: share.count]
        assert torch.equal(mine, plain.place_L)
        assert torch.equal(share.place_L[share.partner_P], whole.partner_P[mine])
        assert (share.place_L[share.partner_P] != mine).all()
        # Of a process at most the two ends of a pass have theirs elsewhere.
        assert len(share.place_L.unique()) == len(share.place_L) <= share.count + 2 * layout.passes
