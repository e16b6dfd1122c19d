"""What can be known of the Triton kernels without a GPU: registers, spills, shared memory, and the floors of a stage.

    python tests/benchmarks/attention_resources.py [--capabilities 80 90 100] [--extents 7] [--batch 128] [--json FILE]

Every kernel is compiled ahead, by the calls that would launch it, with 8 heads for the four stages of a ResNet at
224×224, and with the stem's 4 for its images. `stack` is what a thread spills, in bytes; `mma` counts the tensor-core
instructions of the assembly. The floors are what a perfect kernel moves and multiplies; beside them what these tiles
compute, masked pairs included, and the time that the slowest of memory, tensor cores, exponentials and other arithmetic
would need at their full rates. Nothing here is measured.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from search_spaces.architecture import STEM_HEADS, STEM_MIXTURES, STEM_WINDOW
from search_spaces.attention.triton_tiles import LocalPass, Tile, tile_for
from tests.benchmarks.triton_ahead import compiling_for

HEADS = 8
# Side of the image and channels of a head.
SHAPES = {"56×56×64": (56, 8), "28×28×128": (28, 16), "14×14×256": (14, 32), "7×7×512": (7, 64)}
STEM = "stem 224×224×64"
STEM_SIDE, STEM_CHANNELS, COLOURS = 224, 64, 3
PASSES: tuple[LocalPass, ...] = ("forward", "queries", "keys")


@dataclass(frozen=True)
class Device:
    """Peak rates, from the maker's data sheets: bytes, products and sums in bfloat16, exponentials, float32 operations,
    all a second."""

    name: str
    bytes: float
    operations: float
    exponentials: float
    instructions: float


# 16 exponentials and 128 float32 instructions a clock and multiprocessor.
DEVICES = (
    Device("A100 80GB", 2.04e12, 312e12, 108 * 16 * 1.41e9, 108 * 128 * 1.41e9),
    Device("H100 SXM 80GB", 3.35e12, 989e12, 132 * 16 * 1.755e9, 132 * 128 * 1.755e9),
    Device("H200 141GB", 4.8e12, 989e12, 132 * 16 * 1.755e9, 132 * 128 * 1.755e9),
)
# Of each pair that a program computes a pass has so many products over the channels of all its heads, so many over the
# terms of a table, and about so many other float32 instructions.
PRODUCTS_OVER_CHANNELS: dict[LocalPass, int] = {"forward": 2, "queries": 3, "keys": 4}
PRODUCTS_OVER_TERMS: dict[LocalPass, int] = {"forward": 1, "queries": 2, "keys": 1}
INSTRUCTIONS: dict[LocalPass, int] = {"forward": 5, "queries": 6, "keys": 6}
# The same of both passes of the stem, whose pairs are a block's: for 3 projections, logits, embeddings and the weighted
# sum, and for the gradients of these, with most of them computed again.
STEM_PRODUCTS, STEM_INSTRUCTIONS = 6 + 15, 20


@dataclass(frozen=True)
class Floor:
    """Of forward and backward of one stage: the least, and what the tiles come to."""

    shape: str
    bytes: float
    operations: float
    tile_bytes: float
    tile_operations: float
    exponentials: float
    instructions: float

    def predicted_ms(self, device: Device) -> float:
        """The time of the slowest part at its full rate, in milliseconds."""
        return 1e3 * max(
            self.tile_bytes / device.bytes,
            self.tile_operations / device.operations,
            self.exponentials / device.exponentials,
            self.instructions / device.instructions,
        )

    def least_ms(self, device: Device) -> float:
        """The time below which no kernel comes, in milliseconds."""
        return 1e3 * max(self.bytes / device.bytes, self.operations / device.operations)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--capabilities", type=int, nargs="*", default=[80, 90, 100], help="without their dot")
    parser.add_argument("--extents", type=int, nargs="+", default=[7], help="spatial extents k (default: 7)")
    parser.add_argument("--shapes", nargs="+", choices=[*SHAPES, STEM], default=[*SHAPES, STEM], help="default: all")
    parser.add_argument("--dtype", choices=["bfloat16", "float16", "float32"], default="bfloat16")
    parser.add_argument("--batch", type=int, default=128, help="images, of the floors (default: 128)")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    found = []
    if arguments.capabilities:
        print(f"{'kernel':>24} {'k':>2} {'shape':>15} {'sm':>3} {'warps':>5} {'registers':>9}", end="")
        print(f" {'stack':>5} {'shared':>7} mma")
    for capability in arguments.capabilities:
        for shape in arguments.shapes:
            for extent in [STEM_WINDOW] if shape == STEM else arguments.extents:
                for one in resources(shape, extent, capability, arguments.dtype):
                    found.append(one)
                    print(f"{one['kernel']:>24} {extent:>2} {shape:>15} {capability:>3} {one['warps']:>5}"
                          f" {one['registers']:>9} {one['stack']:>5} {one['shared']:>7} {one['mma']:>3}",
                          flush=True)  # fmt: skip
    floors = [
        floor_of(shape, extent, arguments.batch)
        for shape in arguments.shapes
        for extent in ([STEM_WINDOW] if shape == STEM else arguments.extents)
    ]
    print(f"forward and backward at batch {arguments.batch}, bfloat16; ms are predictions from peak rates")
    print(f"{'shape':>15} {'MB':>6} {'GFLOP':>6} {'MB moved':>8} {'GFLOP done':>10} {'Gexp':>5}", end="")
    print("".join(f" {device.name + ': least':>22} {'predicted':>9}" for device in DEVICES))
    for floor in floors:
        print(f"{floor.shape:>15} {floor.bytes / 1e6:6.0f} {floor.operations / 1e9:6.1f} {floor.tile_bytes / 1e6:8.0f}"
              f" {floor.tile_operations / 1e9:10.1f} {floor.exponentials / 1e9:5.2f}", end="")  # fmt: skip
        print("".join(f" {floor.least_ms(device):22.3f} {floor.predicted_ms(device):9.3f}" for device in DEVICES))
    if arguments.json:
        content = {"resources": found, "floors": [asdict(floor) for floor in floors]}
        arguments.json.write_text(json.dumps(content, indent=2), encoding="utf-8")


def floor_of(shape: str, extent: int, batch: int) -> Floor:
    """Of one stage, or of the stem, in bfloat16."""
    if shape == STEM:
        return stem_floor(batch)
    side, channels = SHAPES[shape]
    pixels = batch * side**2
    feature_bytes = 2.0 * pixels * HEADS * channels
    sum_bytes = 4.0 * pixels * HEADS
    operations = exponentials = instructions = 0.0
    for part in PASSES:
        tile = tile_for(part, side, side, HEADS, channels, extent, "bfloat16", {})
        pairs = float(pairs_of(tile, side)) * batch
        products = PRODUCTS_OVER_CHANNELS[part] * tile.heads * tile.channels + PRODUCTS_OVER_TERMS[part] * 2 * tile.side
        operations += 2 * products * pairs
        exponentials += pairs
        instructions += INSTRUCTIONS[part] * pairs
    return Floor(
        shape=shape,
        # Forward: q, k, v, output. Backward: these and the gradient, to three gradients.
        bytes=12 * feature_bytes + 2 * sum_bytes,
        operations=3 * 2 * 3 * extent**2 * channels * HEADS * pixels,
        # The backward pass reads q, k, v and the gradient twice.
        tile_bytes=16 * feature_bytes + 5 * sum_bytes,
        tile_operations=operations,
        exponentials=exponentials,
        instructions=instructions,
    )


def stem_floor(batch: int) -> Floor:
    """Of the stem with mixed values: its images are read in both passes, its output written and its gradient read."""
    pixels = float(batch * STEM_SIDE**2)
    moved = 2 * pixels * (2 * COLOURS + 2 * STEM_CHANNELS)
    projections = (2 + STEM_MIXTURES) * COLOURS
    pairs = pixels * STEM_HEADS * STEM_WINDOW**2
    return Floor(
        shape=STEM,
        bytes=moved,
        # Forward, and twice that backward.
        operations=3 * 2 * (projections + 3 * STEM_WINDOW**2) * STEM_CHANNELS * pixels,
        tile_bytes=moved,
        tile_operations=2 * STEM_PRODUCTS * 16 * pairs,
        exponentials=2 * pairs,
        instructions=STEM_INSTRUCTIONS * pairs,
    )


def pairs_of(tile: Tile, side: int) -> int:
    """The pairs of a query and a key that all programs of an image compute, those that are masked among them."""
    return tile.blocks(side, side) * tile.groups(HEADS) * tile.heads * tile.pixels * tile.parts * tile.window


def resources(shape: str, extent: int, capability: int, dtype: str) -> list[dict[str, Any]]:
    """Compiles the kernels of a stage, or of the stem, for a device that need not be here. Triton's interpreter must be
    off."""
    with compiling_for(capability) as found:
        if shape == STEM:
            launch_stem(getattr(torch, dtype))
        else:
            launch_local(shape, extent, getattr(torch, dtype))
    return [{"shape": shape, "extent": extent, "dtype": dtype} | asdict(one) for one in found]


def launch_local(shape: str, extent: int, dtype: torch.dtype) -> None:
    """What the layer calls, forward and backward, on a batch of two."""
    from search_spaces.attention.triton_attention import triton_backward, triton_forward

    side, channels = SHAPES[shape]
    query, key, value = torch.empty(2, side, side, 3, HEADS, channels, dtype=dtype).unbind(3)
    row, column = torch.empty(2, HEADS, extent, channels // 2)
    inputs = (query, key, value, row, column)
    output, log_sum = triton_forward(inputs, extent)
    triton_backward(output, inputs, output, log_sum, extent)


def launch_stem(dtype: torch.dtype) -> None:
    """What the stem calls, forward and backward, on a batch of two."""
    from search_spaces.attention.triton_stem import triton_stem_backward, triton_stem_forward

    channels = STEM_CHANNELS // STEM_HEADS
    image = torch.empty(2, COLOURS, STEM_SIDE, STEM_SIDE, dtype=dtype).permute(0, 2, 3, 1)
    query, key, *value = torch.empty(2 + STEM_MIXTURES, COLOURS, STEM_HEADS, channels)
    mixture = torch.empty(STEM_WINDOW**2, STEM_MIXTURES)
    row, column = torch.empty(2, STEM_HEADS, 2 * STEM_WINDOW - 1, channels // 2)
    inputs = (image, query, key, torch.stack(value, 1), mixture, None, row, column)
    output = triton_stem_forward(inputs)
    triton_stem_backward(output, inputs, of_image=False)


if __name__ == "__main__":
    main()
