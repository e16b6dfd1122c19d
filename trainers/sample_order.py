"""Which samples each batch of an epoch holds, and which of them a process takes, as functions of the seed alone.

A sample is an image as it stands in an epoch: `trainers.data.random_draws`.

Shapes: S steps of an epoch, B samples of a whole batch, P those of a process, L those that it loads, I images.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainers.batch_layout import BatchLayout
from trainers.data.random_draws import ORDER, sample_draws


@dataclass(frozen=True, slots=True)
class Share:
    """The places in a batch of what a process loads, `place_L`; it trains on the first `count` of them.

    `partner_P` says where among those the partner lies of each that it trains on; None where nothing is mixed.
    """

    place_L: Tensor
    count: int
    partner_P: Tensor | None = None


def epoch_samples(seed: int, epoch: int, images: int, steps: int, batch_size: int, repeats: int) -> Tensor:
    """The samples of all batches of an epoch, (S, B), each image once or, in one batch, `repeats` times.

    What stands there again stands as far from the first time as it can, so that batch norm does not see it twice in one
    of its groups. What is left over at the end of an epoch is dropped.
    """
    draw_I = sample_draws(seed, epoch, np.arange(images), ORDER)[:, 0]
    order_I = torch.from_numpy(np.argsort(draw_I, kind="stable"))
    distinct = -(-batch_size // repeats)
    index_SD = order_I[: steps * distinct].view(steps, distinct)
    place_B = torch.arange(batch_size)
    return index_SD[:, place_B % distinct] + images * (place_B // distinct)


def share_of(layout: BatchLayout, rank: int, *, mixes: bool) -> Share:
    """What process `rank` takes of every batch.

    A batch lies over the processes pass by pass, so that neighbours in it are normalised together on any number. Of two
    neighbours each is the other's partner, and so nearly always with it: a process loads those that are not.
    """
    places = torch.arange(layout.batch_size).view(layout.passes, layout.world_size, layout.micro_batch)
    place_P = places[:, rank].flatten()
    if not mixes:
        return Share(place_P, len(place_P))
    partner_P = place_P ^ 1
    # The last of an odd number has the one before it.
    partner_P = torch.where(partner_P < layout.batch_size, partner_P, place_P - 1)
    missing = sorted(set(partner_P.tolist()) - set(place_P.tolist()))
    place_L = torch.cat([place_P, torch.tensor(missing, dtype=place_P.dtype)])
    where = {place: index for index, place in enumerate(place_L.tolist())}
    return Share(place_L, len(place_P), torch.tensor([where[place] for place in partner_P.tolist()]))
