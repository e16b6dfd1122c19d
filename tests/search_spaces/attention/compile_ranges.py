"""Compiles the Triton kernels ahead for all that they take, and prints what each needs, as JSON; run by
`test_triton_resources.py` with Triton's interpreter off.

    python -m tests.search_spaces.attention.compile_ranges CAPABILITY [--few]
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict

import torch

from search_spaces.attention.triton_attention import triton_backward, triton_forward
from search_spaces.attention.triton_stem import triton_stem_backward, triton_stem_forward
from tests.benchmarks.triton_ahead import compiling_for

# Channels of a head, extent, side of the image, heads, images, what is left out.
Case = tuple[int, int, int, int, int, str]
# More images than a grid may have on its second and third axis; one pixel, one head; places of 64 bits; the widest.
FEW: list[tuple[Case, torch.dtype]] = [
    ((4, 3, 1, 1, 70_000, ""), torch.float16),
    ((4, 3, 1, 1, 1, "nearness"), torch.bfloat16),
    ((128, 13, 17, 1, 2, ""), torch.bfloat16),
]


def local_cases() -> Iterator[tuple[Case, torch.dtype]]:
    for dtype in (torch.bfloat16, torch.float32):
        for channels in (4, 20, 64, 128):
            # A window of 16, of 32, and a whole row.
            for extent, side in ((7, 29), (13, 29), (13, 15)):
                yield (channels, extent, side, 8, 2, ""), dtype
        for left_out in ("key", "positions"):
            yield (8, 7, 29, 8, 2, left_out), dtype


def launch_local(case: Case, dtype: torch.dtype) -> None:
    channels, extent, side, heads, images, left_out = case
    query, key, value = torch.empty(images, side, side, 3, heads, channels, dtype=dtype).unbind(3)
    if left_out == "nearness":
        # So far apart would the next row lie, which an image of one row has not.
        strides = (2**26, 2**26, *value.stride()[2:])
        query, key, value = (features.as_strided(features.shape, strides) for features in (query, key, value))
    row, column = torch.empty(2, heads, extent, channels // 2)
    no_positions = left_out == "positions"
    inputs = (
        query, None if left_out == "key" else key, value,
        None if no_positions else row, None if no_positions else column,
    )  # fmt: skip
    output, log_sum = triton_forward(inputs, extent)
    triton_backward(output, inputs, output, log_sum, extent)


def launch_stem(channels: int, components: int, colours: int, side: int, images: int, dtype: torch.dtype) -> None:
    """Without components, of values that are given."""
    image = torch.empty(images, side, side, colours, dtype=dtype)
    query, key = torch.empty(2, colours, 4, channels)
    weight = torch.empty(colours, components, 4, channels) if components else None
    mixture = torch.empty(16, components) if components > 1 else None
    value = None if components else torch.empty(images, side, side, 4, channels, dtype=dtype)
    row, column = torch.empty(2, 4, 7, channels // 2)
    inputs = (image, query, key, weight, mixture, value, row, column)
    output = triton_stem_forward(inputs)
    triton_stem_backward(output, inputs, of_image=True)


def main(capability: int, few: bool) -> None:
    with compiling_for(capability) as found:
        for case, dtype in FEW if few else [*FEW, *local_cases()]:
            launch_local(case, dtype)
        launch_stem(2, 1, 1, 1, 70_000, torch.float16)
        if not few:
            for dtype in (torch.bfloat16, torch.float32):
                for channels in (16, 32, 64, 128):
                    launch_stem(channels, 4, 3, 33, 2, dtype)
                launch_stem(16, 4, 5, 33, 2, dtype)
                launch_stem(16, 0, 3, 33, 2, dtype)
    print(json.dumps([asdict(one) for one in found]))


if __name__ == "__main__":
    main(int(sys.argv[1]), "--few" in sys.argv)
