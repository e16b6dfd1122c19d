"""How a global batch lies over processes, and over the passes in which each of them takes its share."""

import math
from dataclasses import dataclass

from search_spaces.errors import UserError
from search_spaces.units import counted


@dataclass(frozen=True, slots=True)
class BatchLayout:
    """Each of `world_size` processes takes its share of the `batch_size` images in `passes` passes, one after another.

    Batch norm takes its statistics over `norm_batch` images: those of a pass in several groups, or those of several
    processes together.
    """

    batch_size: int
    world_size: int
    passes: int
    norm_batch: int

    @property
    def micro_batch(self) -> int:
        """The images that a process has in a pass."""
        return self.batch_size // (self.world_size * self.passes)

    @property
    def norm_processes(self) -> int:
        """Over how many processes statistics are taken; those are neighbours by number."""
        return max(1, self.norm_batch // self.micro_batch)


def layout_of(
    batch_size: int,
    train_images: int,
    world_size: int = 1,
    micro_batch: int | None = None,
    norm_batch: int | None = None,
) -> BatchLayout:
    """The layout of batches, of at most `micro_batch` images for each process and pass.

    None is any number of them, and has batch norm see the whole batch. A set smaller than a batch is one batch, less
    what would leave unequal shares or groups, and a set smaller than a group is one. Raises UserError where the shares
    or the groups of batch norm cannot be equal.
    """
    batch = min(batch_size, train_images)
    norm = None if norm_batch is None or norm_batch > batch else norm_batch
    micro = batch // world_size if micro_batch is None else min(micro_batch, batch // world_size)
    if batch < batch_size and micro >= 1:
        batch -= batch % math.lcm(world_size * (1 if micro_batch is None else micro), norm or 1)
        micro = min(micro, batch // world_size)
    if train_images < 2 * world_size:
        raise UserError(
            f"{counted(train_images, 'image')} to train on: expected at least two for each of "
            f"{counted(world_size, 'process', 'processes')}."
        )
    if batch % world_size or micro < 2:
        raise UserError(
            f"recipe.batch_size is {batch_size}: expected a multiple of {world_size}, for as many processes, "
            f"with at least two of the {train_images} images each."
        )
    share = batch // world_size
    if share % micro:
        nearest = next(size for size in range(micro, 0, -1) if share % size == 0)
        raise UserError(
            f"recipe.micro_batch is {micro_batch}: expected what divides the {share} images of a batch that each of "
            f"{counted(world_size, 'process', 'processes')} has, such as {nearest if nearest > 1 else share}"
            f"{'' if nearest > 1 else ', or another recipe.batch_size'}."
        )
    norm = norm or batch
    if micro % norm and (norm % micro or world_size % (norm // micro)):
        raise UserError(
            f"recipe.norm_batch is {norm}: {world_size} processes that have {micro} images each at a time cannot make "
            f"groups of so many; recipe.micro_batch={norm} may, or another number of processes."
        )
    return BatchLayout(batch, world_size, share // micro, norm)
