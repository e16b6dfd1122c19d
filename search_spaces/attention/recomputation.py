"""Attention that keeps its input for the gradients and projects it again, where queries, keys and values would be kept.

The Triton kernels' gradients need the output, too, which what comes next keeps anyway. Three times the input are not
held from the forward to the backward pass, for one more product of matrices. Results are the same to the bit.

Shapes: B batch, H height, W width, C channels, N heads, D channels a head, d = D/2, K spatial extent.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from search_spaces.attention.dispatch import local_attention
from search_spaces.attention.first_derivatives import first_derivatives_only
from search_spaces.attention.inputs import present
from search_spaces.attention.operators import device_of

KernelBackend = Literal["numba", "triton"]


def recomputes(*tensors: Tensor) -> bool:
    """Whether gradients of these will be asked for, outside of all that is compiled, counted, traced or exported."""
    return (
        torch.is_grad_enabled()
        and any(tensor.requires_grad for tensor in tensors)
        and not torch.compiler.is_compiling()
        and torch._C._get_tracing_state() is None
        and not is_in_torch_dispatch_mode()
        and all(type(tensor) in (Tensor, nn.Parameter) and not tensor.is_meta for tensor in tensors)
    )


def projected_attention(
    input_BHWC: Tensor,
    weight: Tensor,
    row_NKd: Tensor | None,
    column_NKd: Tensor | None,
    *,
    spatial_extent: int,
    projections: int,
    heads: int,
    backend: KernelBackend,
) -> Tensor:
    """Attention, (B, H, W, N, D), by compiled kernels, of what `weight` makes of the input; first derivatives only.

    `weight` has the rows of two or three projections, one after the other: queries, perhaps keys, and values.
    """
    inputs = (input_BHWC, weight, row_NKd, column_NKd, spatial_extent, backend, projections, heads)
    output: Tensor = _ProjectedAttention.apply(*inputs)  # type: ignore[no-untyped-call, unused-ignore]
    return output


class _ProjectedAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        input_BHWC, weight, row, column, ctx.spatial_extent, ctx.backend, *ctx.shape = inputs
        kind = input_BHWC.device.type
        ctx.autocast = kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind)
        query, *key, value = _apart(F.linear(input_BHWC, weight), *ctx.shape)
        features = (query, key[0] if key else None, value, row, column)
        output: Tensor
        if ctx.backend == "triton":
            output, log_sum = torch.ops.local_attention.triton.default(*features, ctx.spatial_extent)
            ctx.save_for_backward(input_BHWC, weight, row, column, output, log_sum)
        else:
            output = local_attention(*features, spatial_extent=ctx.spatial_extent, backend="numba")
            ctx.save_for_backward(input_BHWC, weight, row, column)
        return output

    @staticmethod
    @first_derivatives_only
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        kind, dtype, is_enabled = ctx.autocast
        needed = [
            None if tensor is None else tensor.detach().requires_grad_(is_needed)
            for tensor, is_needed in zip(ctx.saved_tensors[:4], ctx.needs_input_grad, strict=False)
        ]
        input_BHWC, weight, row, column = needed
        assert input_BHWC is not None and weight is not None
        with torch.enable_grad(), torch.autocast(kind, dtype=dtype, enabled=is_enabled):
            projected = F.linear(input_BHWC, weight)
        gradients = _triton_gradients if ctx.backend == "triton" else _numba_gradients
        d_projected, *d_embeddings = gradients(
            gradient, projected.detach(), row, column, ctx.saved_tensors[4:], ctx.spatial_extent, *ctx.shape
        )
        wanted = [tensor for tensor in (input_BHWC, weight) if tensor.requires_grad]
        found = iter(torch.autograd.grad(projected, wanted, d_projected) if wanted else ())
        each = (next(found) if tensor.requires_grad else None for tensor in (input_BHWC, weight))
        return *each, *(d_embeddings or (None, None)), None, None, None, None


def _triton_gradients(
    gradient: Tensor,
    projected_BHWC: Tensor,
    row: Tensor | None,
    column: Tensor | None,
    results: Sequence[Tensor],
    spatial_extent: int,
    projections: int,
    heads: int,
) -> list[Tensor]:
    """Those of the projections, written to where they lie beside each other, and of the embeddings, if these are there;
    from what came out before."""
    # Imported where Triton is.
    from search_spaces.attention.triton_attention import triton_backward_into

    d_projected = projected_BHWC.new_empty(projected_BHWC.shape)
    each = _apart(d_projected, projections, heads)
    d_embeddings = [embedding.new_empty(embedding.shape) for embedding in present((row, column))]
    query, *key, value = _apart(projected_BHWC, projections, heads)
    features = (query, key[0] if key else None, value, _as_numbers(row), _as_numbers(column))
    output, log_sum = results
    with device_of(gradient):
        triton_backward_into([*each, *d_embeddings], gradient, features, output, log_sum, spatial_extent)
    return [d_projected, *d_embeddings]


def _numba_gradients(
    gradient: Tensor,
    projected_BHWC: Tensor,
    row: Tensor | None,
    column: Tensor | None,
    _: Sequence[Tensor],
    spatial_extent: int,
    projections: int,
    heads: int,
) -> list[Tensor]:
    """The same in float32, which is what these kernels take."""
    from search_spaces.attention.compiled import numba_backward

    precision = torch.promote_types(projected_BHWC.dtype, torch.float32)
    query, *key, value = _apart(projected_BHWC.to(precision), projections, heads)
    embeddings = _as_numbers(row, precision), _as_numbers(column, precision)
    features = (query, key[0] if key else None, value, *embeddings)
    found = numba_backward(gradient.to(precision), features, spatial_extent)
    d_projected = torch.stack(found[:projections], 3).flatten(-3).to(projected_BHWC.dtype)
    d_embeddings = [
        each.to(embedding.dtype) for each, embedding in zip(found[projections:], present((row, column)), strict=True)
    ]
    return [d_projected, *d_embeddings]


def _as_numbers(tensor: Tensor | None, dtype: torch.dtype | None = None) -> Tensor | None:
    """Without its history."""
    return None if tensor is None else tensor.detach().to(dtype or tensor.dtype)


def _apart(projected_BHWC: Tensor, projections: int, heads: int) -> tuple[Tensor, ...]:
    """Queries, keys, unless there are none, and values, (B, H, W, N, D) each."""
    return projected_BHWC.unflatten(-1, (projections, heads, -1)).unbind(3)
