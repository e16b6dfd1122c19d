"""The reference against loops over pixels, and the gradients of every backend against finite differences."""

from typing import Any

import pytest
import torch
from torch import Tensor

from search_spaces.attention.dispatch import Backend, local_attention
from search_spaces.attention.reference import reference_attention
from tests.support.attention_oracle import loop_attention


def random_inputs(
    batch: int, height: int, width: int, heads: int, depth: int, extent: int, encoding: str
) -> tuple[Tensor, Tensor | None, Tensor, Tensor | None, Tensor | None]:
    generator = torch.Generator().manual_seed(0)

    def numbers(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    query, key, value = (numbers(batch, height, width, heads, depth) for _ in range(3))
    row, column = (numbers(heads, extent, depth // 2) for _ in range(2))
    relative = encoding.startswith("relative")
    return (
        query,
        None if encoding == "relative_only" else key,
        value,
        row if relative else None,
        (column if relative else None),
    )


@pytest.mark.parametrize("encoding", ["none", "relative", "relative_only"])
@pytest.mark.parametrize(
    "shape",
    [(2, 5, 4, 2, 4, 3), (1, 3, 6, 1, 2, 7), (1, 1, 1, 3, 2, 5), (1, 4, 4, 2, 6, 1), (1, 2, 3, 2, 2, 11)],
)
def test_reference_is_the_equation(shape: tuple[int, int, int, int, int, int], encoding: str) -> None:
    inputs = random_inputs(*shape, encoding)
    expected = loop_attention(*inputs, shape[-1])
    torch.testing.assert_close(reference_attention(*inputs, spatial_extent=shape[-1]), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("backend", ["reference", "blocks", "numba"])
@pytest.mark.parametrize("encoding", ["none", "relative", "relative_only"])
def test_gradients_are_those_of_finite_differences(backend: Backend, encoding: str) -> None:
    inputs = random_inputs(1, 3, 2, 2, 2, 3, encoding)
    present = [index for index, tensor in enumerate(inputs) if tensor is not None]

    def attention(*tensors: Tensor) -> Tensor:
        arguments: list[Any] = [None] * 5
        for index, tensor in zip(present, tensors, strict=True):
            arguments[index] = tensor
        return local_attention(*arguments, spatial_extent=3, backend=backend)

    tensors = [tensor.requires_grad_() for tensor in inputs if tensor is not None]
    assert torch.autograd.gradcheck(attention, tensors)
