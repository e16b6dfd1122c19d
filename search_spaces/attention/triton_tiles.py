"""How attention is cut into tiles for a GPU: by what was tuned on the device, else by `tiles.json`. Needs no Triton."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal, get_args

LocalPass = Literal["forward", "queries", "keys"]
StemPass = Literal["stem forward", "stem backward"]
Pass = LocalPass | StemPass

LOCAL_PASSES: tuple[LocalPass, ...] = get_args(LocalPass)
STEM_PASSES: tuple[StemPass, ...] = get_args(StemPass)

# What the kernels take: spatial extents, the most channels of a head, and the most colours of the stem's images.
EXTENTS = range(1, 14, 2)
MOST_CHANNELS = 128
MOST_COLOURS = 8

# Tensor cores multiply 16×16 by 16×16 at the least.
SIDE = 16
# Up to this extent a window of 16 keys leaves room for several queries.
LARGEST_EXTENT_OF_16_KEYS = 7

# Each program of the queries' backward pass goes through the images in steps, so that the parts of the embeddings'
# gradients stay few: so many programs for a tile, and more where these are too few to fill a device.
IMAGE_PROGRAMS = 8
WANTED_PROGRAMS = 1024


@dataclass(frozen=True, slots=True)
class TileCase:
    """What a choice is made for: the pass, the dtype as torch names it, the channels of a head, filled up, the keys of
    a window, and whether that is a whole row. The stem's windows are its blocks."""

    part: str
    dtype: str
    channels: int
    window: int
    whole: bool


@dataclass(frozen=True, slots=True)
class TileChoice:
    """`strips` of a program (of the stem: pairs of a head and a block), its `warps`, and `stages` of loads, where more
    than one are ahead of their use.

    Of wide heads `multiplied` channels are loaded and multiplied at a time, and a program writes `written`, so that
    they fit into registers; 0 is all of them.
    """

    strips: int
    warps: int
    stages: int
    multiplied: int = 0
    written: int = 0


Choices = Mapping[TileCase, TileChoice]


# Numbers of 4 bytes or more, which tensor cores do not multiply, take twice the registers and more.
HALVES = ("bfloat16", "float16")


def _committed() -> dict[tuple[str, bool, int, str], TileChoice]:
    content = json.loads(Path(__file__).with_name("tiles.json").read_text(encoding="utf-8"))
    return {
        (part, halves, int(filled), window): TileChoice(*choice)
        for halves, name in ((True, "halves"), (False, "float32"))
        for part in (*LOCAL_PASSES, *STEM_PASSES)
        for window, choices in content[name][part].items()
        for filled, choice in choices.items()
    }


# By the pass, whether numbers are halves, the channels of a head, filled up, and the window, as the file names it.
COMMITTED = _committed()


@dataclass(frozen=True, slots=True)
class Tile:
    """What one program computes: `heads` × `rows` strips, each of some pixels of one row against a window of keys.

    `strip` of the 16 pixels are used; a window holds `window` keys, and is the `whole` row where that fits. `channels`
    are those of a head, filled up with zeros to a power of two, of which `multiplied` are multiplied at a time, and
    `written` are a program's own.
    """

    heads: int
    rows: int
    strip: int
    window: int
    whole: bool
    channels: int
    multiplied: int
    written: int
    warps: int
    stages: int

    @property
    def parts(self) -> int:
        """The programs that share the channels of a group's heads."""
        return self.channels // self.written

    @property
    def group(self) -> int:
        """The strips of a program, a batch of matrix products."""
        return self.heads * self.rows

    def tiles(self, height: int, width: int) -> int:
        """The tiles that cover one image, for each group of heads."""
        return -(-width // self.strip) * -(-height // self.rows)

    def groups(self, heads: int) -> int:
        """The groups of heads."""
        return -(-heads // self.heads)

    def image_programs(self, height: int, width: int, heads: int, images: int) -> int:
        """The programs that share the images in the queries' backward pass, for each tile and group of heads."""
        others = self.tiles(height, width) * self.groups(heads)
        return min(images, max(IMAGE_PROGRAMS, WANTED_PROGRAMS // others))


@dataclass(frozen=True, slots=True)
class BlockTile:
    """What one program of the stem computes at a time: `heads` × `blocks` pairs, of `channels`, filled up, each."""

    heads: int
    blocks: int
    channels: int
    warps: int
    stages: int


def tile_for(
    part: LocalPass, width: int, heads: int, channels: int, spatial_extent: int, dtype: str, tuned: Choices
) -> Tile:
    """The tile of a shape. Heads come first into a group: where they have few channels they share lines of memory."""
    case = case_for(part, width, channels, spatial_extent, dtype)
    choice = choice_for(case, tuned)
    # Strips of equal width, as wide as the window allows.
    most = SIDE if case.whole else min(SIDE, case.window - spatial_extent + 1)
    strip = -(-width // -(-width // most))
    together = min(choice.strips, power_of_two(heads))
    channels = case.channels
    return Tile(
        heads=together,
        rows=choice.strips // together,
        strip=strip,
        window=case.window,
        whole=case.whole,
        channels=channels,
        multiplied=choice.multiplied or channels,
        written=choice.written or channels,
        warps=choice.warps,
        stages=choice.stages,
    )


def case_for(part: LocalPass, width: int, channels: int, spatial_extent: int, dtype: str) -> TileCase:
    """The case that a shape of local attention is one of."""
    whole = width <= SIDE
    window = SIDE if whole or spatial_extent <= LARGEST_EXTENT_OF_16_KEYS else 2 * SIDE
    return TileCase(part, dtype, _filled(channels), window, whole)


def block_tile_for(part: StemPass, heads: int, channels: int, dtype: str, tuned: Choices) -> BlockTile:
    """The tile of the stem."""
    case = stem_case_for(part, channels, dtype)
    choice = choice_for(case, tuned)
    together = min(choice.strips, power_of_two(heads))
    return BlockTile(together, choice.strips // together, case.channels, choice.warps, choice.stages)


def stem_case_for(part: StemPass, channels: int, dtype: str) -> TileCase:
    """The case that a stem is one of."""
    return TileCase(part, dtype, _filled(channels), SIDE, True)


def committed_key(case: TileCase) -> tuple[str, bool, int, str]:
    """What is committed for a case is known by this."""
    return case.part, case.dtype in HALVES, case.channels, "whole" if case.whole else str(case.window)


def choice_for(case: TileCase, tuned: Choices) -> TileChoice:
    """What was tuned for a case, else what is committed."""
    return tuned.get(case) or COMMITTED[committed_key(case)]


def divisions(case: TileCase) -> tuple[tuple[int, int], ...]:
    """The numbers of channels that may be multiplied at a time, with those that a program may write; 0 is all."""
    if case.part in STEM_PASSES:
        return ((0, 0),)
    sizes = [size for size in (16, 32, 64) if size < case.channels]
    # Where all are multiplied at once, what was loaded for that is what is written, too.
    return ((0, 0), *product(sizes, (0, *sizes)))


def most_warps(strips: int) -> int:
    """Of as many strips: with more threads than a strip has pairs, Triton's compiler breaks off at `gather`."""
    return min(32, 8 * strips)


def _filled(channels: int) -> int:
    return max(SIDE, power_of_two(channels))


def power_of_two(least: int) -> int:
    """The least power of two from `least` on."""
    return 1 << (least - 1).bit_length()
