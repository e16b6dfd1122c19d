"""How local attention is cut into tiles for a GPU. Pure: needs no Triton."""

from dataclasses import dataclass
from typing import Literal

Pass = Literal["forward", "queries", "keys"]

# What the kernels take: spatial extents, and the most channels of a head.
EXTENTS = range(1, 14, 2)
MOST_CHANNELS = 128

# Tensor cores multiply 16×16 by 16×16 at the least.
SIDE = 16
# Up to this extent a window of 16 keys leaves room for several queries.
LARGEST_EXTENT_OF_16_KEYS = 7
# Strips of a program and its warps, by channels of a head. Up to 64 channels and extent 7 nothing spills, as
# `tests/benchmarks/attention_resources.py` shows; beyond, some passes do. More warps than strips share registers, and
# repeat products.
GROUPS_AND_WARPS: dict[Pass, dict[int, tuple[int, int]]] = {
    "forward": {16: (4, 4), 32: (4, 4), 64: (4, 4), 128: (2, 8)},
    "queries": {16: (4, 4), 32: (4, 8), 64: (1, 8), 128: (1, 16)},
    "keys": {16: (4, 4), 32: (4, 4), 64: (2, 4), 128: (1, 8)},
}

# Loads ahead of their use take registers that the backward passes do not have.
STAGES = 1

# Each program of the queries' backward pass goes through the images in as many steps as leave this many programs, so
# that the parts of the embeddings' gradients stay few.
IMAGE_PROGRAMS = 8


@dataclass(frozen=True)
class Tile:
    """What one program computes: `heads` × `rows` strips, each of some pixels of one row against a window of keys.

    `strip` of the 16 pixels are used; a window holds `window` keys, and is the `whole` row where that fits. `channels`
    are those of a head, filled up with zeros to a power of two.
    """

    heads: int
    rows: int
    strip: int
    window: int
    whole: bool
    channels: int
    warps: int

    @property
    def group(self) -> int:
        """The strips of a program, a batch of matrix products."""
        return self.heads * self.rows

    def grid(self, height: int, width: int, heads: int, images: int) -> tuple[int, int, int]:
        """The programs of a launch: strips of the image, groups of heads, images."""
        strips = -(-width // self.strip)
        return strips * -(-height // self.rows), -(-heads // self.heads), images


def tile_for(part: Pass, width: int, heads: int, channels: int, spatial_extent: int) -> Tile:
    """The tile of a shape. Heads come first into a group: where they have few channels they share lines of memory."""
    filled = max(SIDE, _power_of_two(channels))
    group, warps = GROUPS_AND_WARPS[part][filled]
    whole = width <= SIDE
    window = SIDE if whole or spatial_extent <= LARGEST_EXTENT_OF_16_KEYS else 2 * SIDE
    # Strips of equal width, as wide as the window allows.
    most = SIDE if whole else min(SIDE, window - spatial_extent + 1)
    strip = -(-width // -(-width // most))
    together = min(group, _power_of_two(heads))
    return Tile(together, group // together, strip, window, whole, filled, warps)


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()
