"""Random inputs of local attention, and what a backend makes of them."""

import torch
from torch import Tensor

from search_spaces.attention.dispatch import Backend, local_attention

# The backends that are held against the reference.
FAST: tuple[Backend, ...] = ("blocks", "numba")
Inputs = tuple[Tensor, Tensor | None, Tensor, Tensor | None, Tensor | None]


def random_inputs(
    shape: tuple[int, int, int, int, int], extent: int, encoding: str, dtype: torch.dtype, layout: str, seed: int = 0
) -> Inputs:
    generator = torch.Generator().manual_seed(seed)
    batch, height, width, heads, depth = shape

    def features() -> Tensor:
        if layout == "channels first":
            numbers = torch.randn(batch, heads, depth, height, width, generator=generator, dtype=torch.float64)
            return numbers.to(dtype).permute(0, 3, 4, 1, 2).requires_grad_()
        if layout == "slice":
            numbers = torch.randn(batch, height + 1, width, heads, 3 * depth, generator=generator, dtype=torch.float64)
            return numbers.to(dtype)[:, 1:, :, :, depth : 2 * depth].requires_grad_()
        numbers = torch.randn(batch, height, width, heads, depth, generator=generator, dtype=torch.float64)
        return numbers.to(dtype).requires_grad_()

    query, key, value = features(), features(), features()
    row, column = (
        torch.randn(heads, extent, depth // 2, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
        for _ in range(2)
    )
    relative = encoding != "none"
    return (
        query,
        None if encoding == "relative_only" else key,
        value,
        row if relative else None,
        column if relative else None,
    )


def output_and_gradients(inputs: Inputs, extent: int, backend: Backend, seed: int = 0) -> list[Tensor]:
    output = local_attention(*inputs, spatial_extent=extent, backend=backend)
    assert output.shape == inputs[0].shape and output.dtype == inputs[0].dtype
    gradient = torch.randn(output.shape, generator=torch.Generator().manual_seed(seed)).to(output)
    differentiated = [tensor for tensor in inputs if tensor is not None]
    return [output.detach(), *torch.autograd.grad(output, differentiated, gradient)]
