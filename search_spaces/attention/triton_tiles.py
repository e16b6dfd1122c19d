"""How attention is cut into tiles for a GPU: by what was tuned on the device, else by `tiles.json`. Needs no Triton."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from search_spaces.architecture import STEM_WINDOW

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
# Each program goes through the images in steps, since what it knows of its block holds for all of them, and so that the
# parts of the embeddings' gradients stay few: so many programs for a block, and more where these are too few to fill a
# device.
IMAGE_PROGRAMS = 8
WANTED_PROGRAMS = 1024


@dataclass(frozen=True, slots=True)
class TileCase:
    """What a choice is made for: the pass, the dtype as torch names it, the channels of a head, filled up, the spatial
    extent, and whether the window is the whole image. The stem's windows are its blocks."""

    part: str
    dtype: str
    channels: int
    extent: int
    whole: bool


@dataclass(frozen=True, slots=True)
class TileChoice:
    """Of a program: its `heads`, the `pixels` of its block, the pixels of its `window` that it takes at a time, its
    `warps`, and `stages` of loads, where more than one are ahead of their use. It may take the window `unrolled` rather
    than in a loop, and so many `registers` a thread at the most: few, so that more programs run beside each other, or
    all 255, so that the assembler does not spill some for that; 0 leaves it to the assembler. Of the stem `pixels` are
    blocks, and the last two and the window are not chosen."""

    heads: int
    pixels: int
    window: int
    warps: int
    stages: int
    unrolled: bool = False
    registers: int = 0


Choices = Mapping[TileCase, TileChoice]


# Numbers of 4 bytes or more, which tensor cores do not multiply, take twice the registers and more.
HALVES = ("bfloat16", "float16")


def _committed() -> dict[tuple[str, bool, int, bool], TileChoice]:
    content = json.loads(Path(__file__).with_name("tiles.json").read_text(encoding="utf-8"))
    return {
        (part, halves, int(filled), extents == "larger"): TileChoice(*choice)
        for halves, name in ((True, "halves"), (False, "float32"))
        for part in (*LOCAL_PASSES, *STEM_PASSES)
        for extents, choices in content[name][part].items()
        for filled, choice in choices.items()
    }


# Windows of larger extents, and their tables, take more registers.
LARGEST_SMALL_EXTENT = 7

# By the pass, whether numbers are halves, the channels of a head, filled up, and whether the extent is a larger one.
COMMITTED = _committed()


@dataclass(frozen=True, slots=True)
class Tile:
    """What one program computes: a block of `rows` × `columns` of `pixels`, in each of `heads`, against a window of
    `window_rows` × `window_columns`, `window` pixels at a time, of the `whole_width` of the image or not. Tables have
    `side` terms along each axis. `channels` are those of a head, filled up."""

    heads: int
    pixels: int
    rows: int
    columns: int
    window_rows: int
    window_columns: int
    whole_width: bool
    side: int
    window: int
    channels: int
    warps: int
    stages: int
    unrolled: bool
    registers: int

    @property
    def parts(self) -> int:
        """The parts in which a window is taken."""
        return -(-self.window_rows * self.window_columns // self.window)

    def blocks(self, height: int, width: int) -> int:
        """The blocks that cover one image, for each group of heads."""
        return -(-height // self.rows) * -(-width // self.columns)

    def groups(self, heads: int) -> int:
        """The groups of heads."""
        return -(-heads // self.heads)

    def image_programs(self, height: int, width: int, heads: int, images: int) -> int:
        """The programs that share the images, for each block and group of heads."""
        others = self.blocks(height, width) * self.groups(heads)
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
    part: LocalPass,
    height: int,
    width: int,
    heads: int,
    channels: int,
    spatial_extent: int,
    dtype: str,
    tuned: Choices,
) -> Tile:
    """The tile of a shape."""
    case = case_for(part, height, width, channels, spatial_extent, dtype)
    choice = choice_for(case, tuned)
    together = min(choice.heads, power_of_two(heads))
    pixels = max(choice.pixels, SIDE // together)
    rows, columns = block_of(height, width, spatial_extent, pixels, choice.window)
    window_rows, window_columns = _window_of(height, width, spatial_extent, rows, columns)
    return Tile(
        heads=together,
        pixels=pixels,
        rows=rows,
        columns=columns,
        window_rows=window_rows,
        window_columns=window_columns,
        whole_width=width < columns + spatial_extent - 1,
        side=SIDE // 2 if max(window_rows, window_columns, spatial_extent) <= SIDE // 2 else SIDE,
        window=choice.window,
        channels=max(case.channels, SIDE // together),
        warps=choice.warps,
        stages=choice.stages,
        unrolled=choice.unrolled,
        registers=choice.registers,
    )


@cache
def block_of(height: int, width: int, spatial_extent: int, pixels: int, window: int) -> tuple[int, int]:
    """The rows and columns of a block of so many pixels with which the fewest pairs are computed, and of these the
    widest, whose pixels lie beside each other. A window has at most SIDE rows and columns."""

    def pairs(block: tuple[int, int]) -> tuple[int, int]:
        blocks = -(-height // block[0]) * -(-width // block[1])
        needed = math.prod(_window_of(height, width, spatial_extent, *block))
        return blocks * -(-needed // window) * window, -block[1]

    possible = (
        (rows, columns)
        for rows in _lengths(height, spatial_extent)
        for columns in _lengths(width, spatial_extent)
        if rows * columns <= pixels
    )
    return min(possible, key=pairs)


def _window_of(height: int, width: int, spatial_extent: int, rows: int, columns: int) -> tuple[int, int]:
    """The rows and columns of the window around a block, which is the whole image along an axis on which it is no
    longer than that. Columns are filled up to a power of two, so that the place of a pixel is told by its bits."""
    return min(height, rows + spatial_extent - 1), power_of_two(min(width, columns + spatial_extent - 1))


def _lengths(side: int, spatial_extent: int) -> range:
    """Those that a block may have along an axis."""
    return range(1, (min(side, SIDE) if side <= SIDE else SIDE - spatial_extent + 1) + 1)


def case_for(part: LocalPass, height: int, width: int, channels: int, spatial_extent: int, dtype: str) -> TileCase:
    """The case that a shape of local attention is one of."""
    whole = max(height, width) <= max(8, spatial_extent)
    return TileCase(part, dtype, power_of_two(channels), spatial_extent, whole)


def block_tile_for(part: StemPass, heads: int, channels: int, dtype: str, tuned: Choices) -> BlockTile:
    """The tile of the stem: where heads are fewer than chosen, of more blocks."""
    case = stem_case_for(part, channels, dtype)
    choice = choice_for(case, tuned)
    together = min(choice.heads, power_of_two(heads))
    return BlockTile(together, choice.heads // together * choice.pixels, case.channels, choice.warps, choice.stages)


def stem_case_for(part: StemPass, channels: int, dtype: str) -> TileCase:
    """The case that a stem is one of."""
    return TileCase(part, dtype, max(SIDE, power_of_two(channels)), STEM_WINDOW, True)


def committed_key(case: TileCase) -> tuple[str, bool, int, bool]:
    """What is committed for a case is known by this."""
    return case.part, case.dtype in HALVES, case.channels, case.extent > LARGEST_SMALL_EXTENT


def choice_for(case: TileCase, tuned: Choices) -> TileChoice:
    """What was tuned for a case, else what is committed."""
    return tuned.get(case) or COMMITTED[committed_key(case)]


def is_possible(choice: TileChoice) -> bool:
    """Whether there may be a kernel of this choice: all its numbers are powers of two, but the stages."""
    numbers = (choice.heads, choice.pixels, choice.window, choice.warps)
    others = choice.stages > 0 and choice.registers >= 0 and choice.window >= SIDE
    return others and all(one > 0 and one == power_of_two(one) for one in numbers)


def power_of_two(least: int) -> int:
    """The least power of two from `least` on."""
    return 1 << (least - 1).bit_length()
