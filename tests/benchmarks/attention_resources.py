"""What can be known of the Triton kernels without a GPU: registers, spills, shared memory, and the floors of a stage.

    python tests/benchmarks/attention_resources.py [--capabilities 80 90 100] [--extents 7] [--batch 128] [--json FILE]

Every kernel is compiled ahead, in bfloat16 with 8 heads, for the four stages of a ResNet at 224×224. `stack` is what a
thread spills, in bytes; `mma` counts the tensor-core instructions of the assembly. The floors are what a perfect kernel
moves and multiplies; beside them what these tiles compute, masked pairs included, and the time that the slowest of
memory, tensor cores, exponentials and other arithmetic would need at their full rates. Nothing here is measured.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from search_spaces.attention.triton_tiles import STAGES, Pass, Tile, tile_for

HEADS = 8
# Side of the image and channels of a head.
SHAPES = {"56×56×64": (56, 8), "28×28×128": (28, 16), "14×14×256": (14, 32), "7×7×512": (7, 64)}
KERNELS: dict[Pass, str] = {
    "forward": "attend",
    "queries": "attend_backward_queries",
    "keys": "attend_backward_keys",
}
FLOAT32 = ("log_sum", "delta", "parts", "row_NKd", "column_NKd")
SIZES = ("height", "width", "heads", "channels", "images")


@dataclass(frozen=True)
class Resources:
    """What a thread and a program of one compiled kernel need, in registers and bytes, and its assembly's products."""

    kernel: str
    shape: str
    extent: int
    capability: int
    registers: int
    stack: int
    shared: int
    mma: int
    warps: int


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
)
# Products, exponentials and about how many other float32 instructions a pass has for each pair of query and key.
PRODUCTS: dict[Pass, int] = {"forward": 2, "queries": 3, "keys": 5}
INSTRUCTIONS: dict[Pass, int] = {"forward": 7, "queries": 8, "keys": 9}


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
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES), help="stages (default: all)")
    parser.add_argument("--batch", type=int, default=128, help="images, of the floors (default: 128)")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    found = []
    if arguments.capabilities:
        print(f"{'kernel':>24} {'k':>2} {'shape':>10} {'sm':>3} {'warps':>5} {'registers':>9}", end="")
        print(f" {'stack':>5} {'shared':>7} mma")
    for capability in arguments.capabilities:
        for extent in arguments.extents:
            for shape in arguments.shapes:
                for part in KERNELS:
                    found.append(one := resources(part, shape, extent, capability))
                    print(f"{one.kernel:>24} {extent:>2} {shape:>10} {capability:>3} {one.warps:>5} {one.registers:>9}"
                          f" {one.stack:>5} {one.shared:>7} {one.mma:>3}", flush=True)  # fmt: skip
    floors = [floor_of(shape, extent, arguments.batch) for extent in arguments.extents for shape in arguments.shapes]
    print(f"forward and backward at batch {arguments.batch}, bfloat16; ms are predictions from peak rates")
    print(f"{'shape':>10} {'MB':>6} {'GFLOP':>6} {'MB moved':>8} {'GFLOP done':>10} {'Gexp':>5}", end="")
    print("".join(f" {device.name + ': least':>22} {'predicted':>9}" for device in DEVICES))
    for floor in floors:
        print(f"{floor.shape:>10} {floor.bytes / 1e6:6.0f} {floor.operations / 1e9:6.1f} {floor.tile_bytes / 1e6:8.0f}"
              f" {floor.tile_operations / 1e9:10.1f} {floor.exponentials / 1e9:5.2f}", end="")  # fmt: skip
        print("".join(f" {floor.least_ms(device):22.3f} {floor.predicted_ms(device):9.3f}" for device in DEVICES))
    if arguments.json:
        content = {"resources": [asdict(one) for one in found], "floors": [asdict(floor) for floor in floors]}
        arguments.json.write_text(json.dumps(content, indent=2), encoding="utf-8")


def floor_of(shape: str, extent: int, batch: int) -> Floor:
    side, channels = SHAPES[shape]
    pixels = batch * side**2
    feature_bytes = 2.0 * pixels * HEADS * channels
    sum_bytes = 4.0 * pixels * HEADS
    operations = exponentials = instructions = 0.0
    for part in KERNELS:
        tile = tile_for(part, side, HEADS, channels, extent)
        pairs = float(pairs_of(tile, side, extent)) * batch
        operations += 2 * PRODUCTS[part] * pairs * tile.channels
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


def pairs_of(tile: Tile, side: int, extent: int) -> int:
    """The pairs of a query and a key that all programs of an image compute, those that are masked among them."""
    strips, groups, _ = tile.grid(side, side, HEADS, 1)
    # Rows beyond the image are left out where a program has one row.
    offsets = sum(min(extent // 2, row) + min(extent // 2, side - 1 - row) + 1 for row in range(side)) / side
    return round(strips * groups * tile.group * offsets * 16 * tile.window)


def resources(part: Pass, shape: str, extent: int, capability: int) -> Resources:
    """Compiles one kernel for a device that need not be here. Triton's interpreter must be off."""
    side, channels = SHAPES[shape]
    tile = tile_for(part, side, HEADS, channels, extent)
    compiled = compile_ahead(KERNELS[part], tile, extent, capability)
    with tempfile.TemporaryDirectory() as directory:
        cubin = Path(directory) / "kernel.cubin"
        cubin.write_bytes(compiled.asm["cubin"])
        usage = subprocess.run(
            [cuobjdump(), "--dump-resource-usage", str(cubin)], capture_output=True, text=True, check=True
        ).stdout
    numbers = re.search(r"REG:(\d+) STACK:(\d+)", usage)
    assert numbers is not None, usage
    mma = len(re.findall(r"\bw?g?mma\.\w+\.sync|mma\.sync|wgmma\.mma_async|tcgen05\.mma", compiled.asm["ptx"]))
    return Resources(
        kernel=KERNELS[part],
        shape=shape,
        extent=extent,
        capability=capability,
        registers=int(numbers[1]),
        stack=int(numbers[2]),
        shared=compiled.metadata.shared,
        mma=mma,
        warps=tile.warps,
    )


def compile_ahead(name: str, tile: Tile, extent: int, capability: int) -> Any:
    import triton
    import triton.language as tl
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from search_spaces.attention import triton_kernels
    from search_spaces.attention.triton_attention import tile_constants

    kernel = getattr(triton_kernels, name)
    constants = tile_constants(tile) | {
        "EXTENT": extent,
        "HAS_KEY": True,
        "HAS_POSITIONS": True,
        "ACCUMULATOR": tl.float32,
        "PRECISION": "tf32",
    }
    signature: dict[str, Any] = {}
    for argument in kernel.arg_names:
        if argument in constants:
            signature[argument] = "constexpr"
        elif argument.endswith("strides"):
            signature[argument] = ("i32",) * 4
        elif argument in SIZES:
            signature[argument] = "i32"
        else:
            signature[argument] = "*fp32" if argument in FLOAT32 else "*bf16"
    # Addresses and sizes are multiples of 16 here, as Triton finds out by itself where it runs.
    options = {"num_warps": tile.warps, "num_stages": STAGES}
    return triton.compile(ASTSource(kernel, signature, constants), GPUTarget("cuda", capability, 32), options)


def cuobjdump() -> str:
    """The one that comes with Triton."""
    from triton.backends import nvidia

    path = Path(nvidia.__path__[0]) / "bin" / "cuobjdump"
    assert os.access(path, os.X_OK), path
    return str(path)


if __name__ == "__main__":
    main()
