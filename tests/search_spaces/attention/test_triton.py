"""The Triton kernels against the reference: on the CPU in Triton's interpreter, on a GPU where there is one.

The interpreter's matrix product takes bfloat16 for integers, so on the CPU float16 stands for both halves.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from search_spaces.attention.dispatch import local_attention
from search_spaces.attention.triton_tiles import LOCAL_PASSES, TileChoice, block_of, case_for, tile_for
from tests.support.attention import Inputs, output_and_gradients, random_inputs

pytest.importorskip("triton", reason="Triton is made for Linux on x86-64")

# Imported where Triton is.
from triton.runtime.interpreter import InterpreterBuilder

from search_spaces.attention import triton_attention
from search_spaces.attention.triton_attention import precision_constants, triton_backward, triton_forward

needs_interpreter = pytest.mark.skipif(torch.cuda.is_available(), reason="compiled for the GPU that is here")

# (images, height, width, heads, channels a head), extent, encoding, layout: tiles of one row and of several, strips and
# whole rows, windows of 16 and of 32, heads that fill no group, images smaller than the neighbourhood, more images than
# programs.
CASES: list[tuple[tuple[int, int, int, int, int], int, str, str]] = [
    ((1, 3, 5, 3, 4), 3, "relative", "slice"),
    ((2, 2, 11, 4, 6), 7, "relative", "channels last"),
    ((1, 2, 21, 5, 4), 7, "relative", "channels first"),
    ((1, 2, 37, 2, 4), 13, "relative", "slice"),
    ((1, 2, 3, 1, 34), 9, "relative_only", "channels last"),
    ((10, 1, 2, 1, 4), 3, "relative", "channels last"),
    ((1, 5, 18, 1, 5), 5, "none", "slice"),
    ((1, 1, 1, 2, 128), 11, "relative", "channels last"),
]
ENCODINGS = ("relative", "relative_only", "none")
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6, torch.float16: 5e-3, torch.bfloat16: 0.03}


@pytest.fixture(autouse=True)
def poisoned_memory() -> Iterator[None]:
    """What nobody has written holds NaN."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def on(device: str, inputs: Inputs, embeddings: torch.dtype | None = None) -> Inputs:
    moved: list[Any] = [
        None if tensor is None else tensor.detach().to(device, dtype).requires_grad_()
        for tensor, dtype in zip(inputs, (None, None, None, embeddings, embeddings), strict=True)
    ]
    query, key, value, row, column = moved
    return query, key, value, row, column


def check(device: str, dtype: torch.dtype, case: tuple[tuple[int, int, int, int, int], int, str, str]) -> None:
    """Against the reference in float64, on the same numbers."""
    shape, extent, encoding, layout = case
    inputs = random_inputs(shape, extent, encoding, dtype, layout)
    exact = random_inputs(shape, extent, encoding, dtype, layout)
    doubles = tuple(None if tensor is None else tensor.detach().double().requires_grad_() for tensor in exact)
    query, key, value, row, column = doubles
    assert query is not None and value is not None
    expected = output_and_gradients((query, key, value, row, column), extent, "reference")
    moved = on(device, inputs) if device != "cpu" else inputs
    found = output_and_gradients(moved, extent, "triton")
    for number, right in zip(found, expected, strict=True):
        assert number.dtype == dtype
        tolerance = TOLERANCE[dtype] * max(1.0, float(right.abs().max()))
        torch.testing.assert_close(number.double().cpu(), right, rtol=0, atol=tolerance)


@needs_interpreter
@pytest.mark.parametrize("case", CASES, ids=str)
def test_equals_the_reference_in_the_interpreter(case: Any) -> None:
    check("cpu", torch.float64, case)


@needs_interpreter
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_precisions_in_the_interpreter(dtype: torch.dtype) -> None:
    check("cpu", dtype, CASES[0])


# Several heads of a program, which do not fill the last; windows in one part and in several; blocks of few pixels.
TILES = [TileChoice(4, 16, 32, 4, 1), TileChoice(2, 8, 16, 4, 2), TileChoice(1, 64, 128, 4, 1, unrolled=True)]


@needs_interpreter
@pytest.mark.parametrize("tile", TILES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_tiles_of_every_kind_in_the_interpreter(tile: TileChoice, dtype: torch.dtype) -> None:
    inputs = random_inputs((1, 5, 9, 3, 6), 5, "relative", dtype, "slice")
    tuned = {case_for(part, 5, 9, 6, 5, str(dtype).removeprefix("torch.")): tile for part in LOCAL_PASSES}
    doubles = (
        on("cpu", inputs, torch.float64)
        if dtype == torch.float64
        else tuple(tensor.detach().double().requires_grad_() for tensor in inputs if tensor is not None)
    )
    query, key, value, row, column = doubles
    assert query is not None and value is not None
    expected = output_and_gradients((query, key, value, row, column), 5, "reference")
    with torch.no_grad():
        output, log_sum = triton_forward(inputs, 5, tuned)
        gradient = torch.randn(output.shape, generator=torch.Generator().manual_seed(0)).to(output)
        found = [output, *triton_backward(gradient, inputs, output, log_sum, 5, tuned)]
    for number, right in zip(found, expected, strict=True):
        torch.testing.assert_close(
            number.double(), right, rtol=0, atol=TOLERANCE[dtype] * max(1.0, float(right.abs().max()))
        )


@needs_interpreter
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_no_weight_is_left_by_what_a_gpu_does_not_round(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU may multiply and subtract in one step, so that what is subtracted from differs by its rounding from what
    the interpreter has there. The window's first part has no neighbour of the block's last row, and its last none of
    the first."""
    product_of, difference_of = InterpreterBuilder.create_fmul, InterpreterBuilder.create_fsub

    def product(self: Any, left: Any, right: Any) -> Any:
        found = product_of(self, left, right)
        found.is_product = True
        return found

    def difference(self: Any, left: Any, right: Any) -> Any:
        found = difference_of(self, left, right)
        if hasattr(left, "is_product"):
            found.data = found.data + abs(left.data) * left.data.dtype.type(6e-8)
        return found

    monkeypatch.setattr(InterpreterBuilder, "create_fmul", product)
    monkeypatch.setattr(InterpreterBuilder, "create_fsub", difference)
    tile = TileChoice(1, 64, 16, 4, 1)
    tuned = {case_for(part, 9, 5, 4, 3, str(dtype).removeprefix("torch.")): tile for part in LOCAL_PASSES}
    tile_of_forward = tile_for("forward", 9, 5, 1, 4, 3, str(dtype).removeprefix("torch."), tuned)
    assert tile_of_forward.parts > 2 and tile_of_forward.rows > 3
    inputs = random_inputs((1, 9, 5, 1, 4), 3, "relative", dtype, "slice")
    with torch.no_grad():
        output, log_sum = triton_forward(inputs, 3, tuned)
        query, key, value, row, column = (None if one is None else one.double() for one in inputs)
        assert query is not None and value is not None
        right = local_attention(query, key, value, row, column, spatial_extent=3, backend="reference")
    assert bool(log_sum.isfinite().all())
    torch.testing.assert_close(output.double(), right, rtol=0, atol=max(1e-5, TOLERANCE[dtype]))


@needs_interpreter
def test_places_in_64_bits_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_attention, "_reach_of_image", lambda features: 2**31)
    check("cpu", torch.float64, CASES[0])


@needs_interpreter
@pytest.mark.parametrize("encoding", ["none", "relative", "relative_only"])
def test_gradients_are_those_of_finite_differences(encoding: str) -> None:
    inputs = random_inputs((1, 2, 2, 1, 2), 3, encoding, torch.float64, "channels last")

    def attention(*tensors: Tensor) -> Tensor:
        remaining = iter(tensors)
        query, key, value, row, column = (None if tensor is None else next(remaining) for tensor in inputs)
        assert query is not None and value is not None
        return local_attention(query, key, value, row, column, spatial_extent=3, backend="triton")

    tensors = [tensor for tensor in inputs if tensor is not None]
    assert torch.autograd.gradcheck(attention, tensors, fast_mode=True)


@needs_interpreter
def test_the_operator_does_what_its_fake_kernel_says() -> None:
    inputs = random_inputs((1, 2, 3, 1, 4), 3, "relative", torch.float32, "slice")
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(torch.ops.local_attention.triton.default, (*inputs, 3), test_utils=checks)


@needs_interpreter
def test_a_compiled_model_is_one_graph() -> None:
    torch._dynamo.reset()
    query, key, value, row, column = random_inputs((1, 2, 3, 1, 4), 3, "relative", torch.float32, "slice")

    def attention(query: Tensor) -> Tensor:
        return local_attention(2 * query, key, value, row, column, spatial_extent=3, backend="triton")

    compiled = torch.compile(attention, backend="aot_eager", fullgraph=True)
    for found, right in zip(
        torch.autograd.grad(compiled(query).square().sum(), [query]),
        torch.autograd.grad(attention(query).square().sum(), [query]),
        strict=True,
    ):
        torch.testing.assert_close(found, right)


@needs_interpreter
def test_gradients_of_some_inputs_only_and_none_of_gradients() -> None:
    query, key, value, row, column = random_inputs((1, 2, 3, 1, 4), 3, "relative", torch.float32, "slice")
    assert key is not None and row is not None
    inputs = (query.detach(), key, value.detach(), row, column)
    output = local_attention(*inputs, spatial_extent=3, backend="triton")
    found = torch.autograd.grad(output.square().sum(), [key, row], create_graph=True)
    expected = local_attention(*inputs, spatial_extent=3, backend="reference")
    for one, right in zip(found, torch.autograd.grad(expected.square().sum(), [key, row]), strict=True):
        torch.testing.assert_close(one, right, rtol=1e-4, atol=1e-5)
    with pytest.raises(RuntimeError, match="first derivatives only"):
        torch.autograd.grad(found[0].sum(), key)


@needs_interpreter
def test_float32_is_multiplied_as_torch_was_told_to() -> None:
    """By the newer of its settings, too, after which the older, `allow_tf32`, may raise."""
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    assert precision_constants(torch.float32)["PRECISION"] == "ieee"
    try:
        matmul.fp32_precision = "tf32"
        assert precision_constants(torch.float32)["PRECISION"] == "tf32"
        assert precision_constants(torch.float64)["PRECISION"] == "ieee"
    finally:
        matmul.fp32_precision = before


def test_an_empty_batch() -> None:
    inputs = random_inputs((0, 5, 5, 2, 4), 3, "relative", torch.float32, "channels last")
    output, *gradients = output_and_gradients(on("cuda" if torch.cuda.is_available() else "cpu", inputs), 3, "triton")
    assert output.shape == (0, 5, 5, 2, 4)
    assert not gradients[3].any()


def test_blocks_cover_the_image_and_windows_hold_what_is_reached() -> None:
    for height, width in [(1, 1), (2, 40), (7, 7), (14, 14), (16, 9), (17, 3), (56, 56), (119, 31)]:
        for extent in range(1, 14, 2):
            for pixels, window in ((16, 64), (32, 64), (64, 32)):
                choices = {case_for("keys", height, width, 20, extent, "bfloat16"): TileChoice(2, pixels, window, 4, 1)}
                tile = tile_for("keys", height, width, 3, 20, extent, "bfloat16", choices)
                assert 1 <= tile.rows * tile.columns <= tile.pixels == pixels
                assert tile.window_rows >= min(height, tile.rows + extent - 1)
                assert tile.window_columns >= min(width, tile.columns + extent - 1)
                # A table has a term for each row and each column of a window, and for each offset.
                assert max(tile.window_rows, tile.window_columns, extent) <= tile.side <= 16
                assert tile.parts * tile.window >= tile.window_rows * tile.window_columns
                assert tile.whole_width == (width < tile.columns + extent - 1)
                assert tile.blocks(height, width) == -(-height // tile.rows) * -(-width // tile.columns)
                assert (tile.heads, tile.channels, tile.groups(3)) == (2, 32, 2)
                assert tile.image_programs(height, width, 3, 7) == 7
                assert 8 <= tile.image_programs(height, width, 3, 1000) <= 1000
    # Of one head there are no more, and its few channels are filled up to what is multiplied at a time.
    tile = tile_for("forward", 56, 56, 1, 4, 7, "bfloat16", {})
    assert (tile.heads, tile.channels) == (1, 16)


def test_of_all_blocks_the_one_with_the_fewest_pairs_is_taken() -> None:
    # 2 × 8 pixels see 8 × 14, filled up to 128, and 4 × 4 see 10 × 10, filled up to 160 in rows of 16.
    assert block_of(56, 56, 7, 16, 64) == (2, 8)
    # Along a side of 14 two blocks of 8 would be one of 16.
    assert block_of(14, 14, 7, 16, 64) == (1, 14)
    assert block_of(7, 7, 7, 64, 64) == (7, 7)


# The stages of a ResNet at 224×224, whose tiles are those that were tuned on the device where there are such.
STAGES = [
    ((3, side, side, 8, channels), 7, "relative", "slice") for side, channels in ((56, 8), (28, 16), (14, 32), (7, 64))
]


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("case", [*CASES, *STAGES], ids=str)
def test_equals_the_reference_on_a_gpu(case: Any, dtype: torch.dtype) -> None:
    check("cuda", dtype, case)


# Every extent with every number of channels, odd sides, with and without the terms, each dtype with each of all these.
RANGES = [
    (
        ((2, 9, 2 * extent + 3, 3, channels), extent, ENCODINGS[(i + j) % 3], "slice"),
        (torch.float32, torch.bfloat16, torch.float16)[(i + j // 3) % 3],
    )
    for i, extent in enumerate((3, 5, 7, 9, 11, 13))
    for j, channels in enumerate((4, 6, 8, 16, 24, 32, 64, 96, 128))
]


@pytest.mark.gpu
@pytest.mark.parametrize(("case", "dtype"), RANGES, ids=str)
def test_equals_the_reference_over_all_that_it_takes_on_a_gpu(case: Any, dtype: torch.dtype) -> None:
    check("cuda", dtype, case)


@pytest.mark.gpu
def test_more_images_than_a_grid_has_on_its_last_axes_on_a_gpu() -> None:
    check("cuda", torch.float16, ((70_000, 1, 1, 2, 4), 3, "relative", "channels last"))


@pytest.mark.gpu
def test_the_same_bits_every_time_on_a_gpu() -> None:
    inputs = on("cuda", random_inputs((20, 28, 28, 8, 16), 7, "relative", torch.bfloat16, "slice"), torch.float32)
    gradient = torch.randn(inputs[0].shape, device="cuda", dtype=torch.bfloat16)
    present = [tensor for tensor in inputs if tensor is not None]

    def once() -> list[Tensor]:
        output = local_attention(*inputs, spatial_extent=7, backend="triton")
        return [output.detach(), *torch.autograd.grad(output, present, gradient)]

    first = once()
    for _ in range(5):
        assert all(map(torch.equal, first, once()))


@pytest.mark.gpu
def test_images_of_more_numbers_than_32_bits_count_on_a_gpu() -> None:
    """The last rows and columns, whose places 32 bits do not hold, by themselves and as a part of the whole."""
    side = 11_600
    features = torch.randn(1, side, side, 1, 16, device="cuda", dtype=torch.bfloat16)
    row, column = torch.randn(2, 1, 3, 8, device="cuda")
    with torch.no_grad():
        whole = local_attention(features, features, features, row, column, spatial_extent=3, backend="triton")
        corner = features[:, -9:, -9:].contiguous()
        expected = local_attention(corner, corner, corner, row, column, spatial_extent=3, backend="triton")
    torch.testing.assert_close(whole[:, -8:, -8:], expected[:, -8:, -8:], rtol=0, atol=0.02)
