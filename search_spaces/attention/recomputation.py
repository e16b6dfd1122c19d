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
from search_spaces.attention.inputs import Inputs, present

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
        query, *key, value = _projected(input_BHWC, weight, *ctx.shape)
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
            query, *key, value = _projected(input_BHWC, weight, *ctx.shape)
            features = (query, key[0] if key else None, value, row, column)
            # What the kernels take: the halves of those on CUDA, whose embeddings are what they are, or float32.
            if ctx.backend == "triton":
                kept = list(features)
            else:
                precision = torch.promote_types(query.dtype, torch.float32)
                kept = [None if tensor is None else tensor.to(precision) for tensor in features]
        attended: Any = tuple(None if tensor is None else tensor.detach() for tensor in kept)
        found = _gradients(gradient, attended, ctx.saved_tensors[4:], ctx.spatial_extent)
        pairs = [(tensor, each) for tensor, each in zip(present(kept), found, strict=True) if tensor.requires_grad]
        outputs, of_outputs = zip(*pairs, strict=True)
        wanted = [tensor for tensor in present(needed) if tensor.requires_grad]
        gradients = iter(torch.autograd.grad(outputs, wanted, of_outputs))
        each = (next(gradients) if tensor is not None and tensor.requires_grad else None for tensor in needed)
        return *each, None, None, None, None


def _gradients(gradient: Tensor, features: Inputs, results: Sequence[Tensor], spatial_extent: int) -> list[Tensor]:
    """Those of the kernels: on CUDA from what came out before."""
    if results:
        backward = torch.ops.local_attention.triton_backward.default
        found: list[Tensor] = backward(gradient, *features, *results, spatial_extent)
        return found
    from search_spaces.attention.compiled import numba_backward

    return numba_backward(gradient.to(features[0].dtype), features, spatial_extent)


def _projected(input_BHWC: Tensor, weight: Tensor, projections: int, heads: int) -> tuple[Tensor, ...]:
    """Queries, keys, unless there are none, and values, (B, H, W, N, D) each."""
    return F.linear(input_BHWC, weight).unflatten(-1, (projections, heads, -1)).unbind(3)
