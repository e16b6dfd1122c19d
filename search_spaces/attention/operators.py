"""Compiled kernels as operators of torch's own kind: graphs hold them whole, whether compiled, exported or counted.

    local_attention::numba(query, key?, value, row?, column?, spatial_extent) -> output
    local_attention::numba_backward(output's gradient, the same inputs) -> gradients of the inputs that are there
    local_attention::triton(the same inputs) -> output, logarithm of each softmax's sum
    local_attention::triton_backward(output's gradient, inputs, output, logarithms, spatial_extent) -> gradients

Each has a fake kernel, which says what comes out without computing it, and a count of FLOPs. What computes is imported
when it first runs. First derivatives only.

Shapes: B batch, H height, W width, N heads, D channels a head, d = D/2, K spatial extent.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.library import Library, register_fake
from torch.utils._python_dispatch import is_in_torch_dispatch_mode
from torch.utils.flop_counter import register_flop_formula

from search_spaces.attention.first_derivatives import first_derivatives_only
from search_spaces.attention.inputs import empty_gradients, empty_output, new_gradients, spread

INPUTS = "Tensor query, Tensor? key, Tensor value, Tensor? row, Tensor? column, int spatial_extent"

# Kept alive as long as the module: an operator goes with its library.
LIBRARY = Library("local_attention", "DEF")
TAGS = (torch.Tag.pt2_compliant_tag,)


def flops(query_shape: Sequence[int], key_shape: object, row_shape: object, spatial_extent: int) -> int:
    """2 · K² · D for each query and head of q·k, q·r and the weighted sum, neighbours beyond the border included."""
    products = 1 + (key_shape is not None) + (row_shape is not None)
    pixels_and_channels = 1
    for length in query_shape:
        pixels_and_channels *= length
    return 2 * spatial_extent**2 * pixels_and_channels * products


LIBRARY.define(f"numba({INPUTS}) -> Tensor", tags=TAGS)
LIBRARY.define(f"numba_backward(Tensor gradient, {INPUTS}) -> Tensor[]", tags=TAGS)


def numba_attention(*inputs: Any) -> Tensor:
    """Attention by the operator. Outside of graphs the kernels are called at once: the dispatcher takes longer."""
    if torch.compiler.is_compiling():
        return torch.ops.local_attention.numba.default(*inputs)
    return _NumbaGradients.apply(*inputs)  # type: ignore[no-untyped-call, unused-ignore]


def _numba(*inputs: Any) -> Tensor:
    from search_spaces.attention.compiled import numba_forward

    return numba_forward(inputs[:5], inputs[5])


def _numba_backward(gradient: Tensor, *inputs: Any) -> list[Tensor]:
    from search_spaces.attention.compiled import numba_backward

    return numba_backward(gradient, inputs[:5], inputs[5])


class _NumbaGradients(torch.autograd.Function):
    """Fewer steps in Python than `torch.library.register_autograd`, which would cost a small layer half its time."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        ctx.save_for_backward(*inputs[:5])
        ctx.spatial_extent = inputs[5]
        if _holds_numbers(inputs[0]):
            return _numba(*inputs)
        with torch._C._AutoDispatchBelowAutograd():
            return torch.ops.local_attention.numba.default(*inputs)

    @staticmethod
    @first_derivatives_only
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors
        attend = _numba_backward if _holds_numbers(gradient) else torch.ops.local_attention.numba_backward.default
        return *spread(attend(gradient, *inputs, ctx.spatial_extent), inputs), None


def _holds_numbers(tensor: Tensor) -> bool:
    """Whether it is a tensor like any other, and does not stand for one in a graph."""
    return type(tensor) in (Tensor, torch.nn.Parameter) and not tensor.is_meta and not is_in_torch_dispatch_mode()


LIBRARY.impl("numba", _numba, "CPU")
LIBRARY.impl("numba_backward", _numba_backward, "CPU")
register_fake("local_attention::numba", lambda query, *_: torch.empty_like(query), lib=LIBRARY)
register_fake(
    "local_attention::numba_backward",
    lambda gradient, *inputs: empty_gradients(inputs[:5]),
    lib=LIBRARY,
)
LIBRARY.impl("numba", _NumbaGradients.apply, "Autograd")


@register_flop_formula(torch.ops.local_attention.numba)
def _numba_flops(query: Any, key: Any, value: Any, row: Any, column: Any, extent: int, **_: object) -> int:
    return flops(query, key, row, extent)


@register_flop_formula(torch.ops.local_attention.numba_backward)
def _numba_backward_flops(
    gradient: Any, query: Any, key: Any, value: Any, row: Any, column: Any, extent: int, **_: object
) -> int:
    return 2 * flops(query, key, row, extent)


LIBRARY.define(f"triton({INPUTS}) -> (Tensor, Tensor)", tags=TAGS)
LIBRARY.define(
    "triton_backward(Tensor gradient, Tensor query, Tensor? key, Tensor value, Tensor? row, Tensor? column, "
    "Tensor output, Tensor log_sum, int spatial_extent) -> Tensor[]",
    tags=TAGS,
)


def device_of(tensor: Tensor) -> AbstractContextManager[object]:
    """A context in which kernels are launched where a tensor lies: Triton launches on the current device."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()


def triton_attention(*inputs: Any) -> Tensor:
    """Attention by the Triton kernels."""
    output: Tensor = torch.ops.local_attention.triton.default(*inputs)[0]
    return output


def _triton(*inputs: Any) -> tuple[Tensor, Tensor]:
    from search_spaces.attention.triton_attention import triton_forward

    with device_of(inputs[0]):
        return triton_forward(inputs[:5], inputs[5])


def _triton_backward(gradient: Tensor, *inputs: Any) -> list[Tensor]:
    from search_spaces.attention.triton_attention import triton_backward

    with device_of(gradient):
        return triton_backward(gradient, inputs[:5], *inputs[5:])


class _TritonGradients(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor]:
        with torch._C._AutoDispatchBelowAutograd():
            output, log_sum = torch.ops.local_attention.triton.default(*inputs)
        ctx.save_for_backward(*inputs[:5], output, log_sum)
        ctx.spatial_extent = inputs[5]
        ctx.mark_non_differentiable(log_sum)
        return output, log_sum

    @staticmethod
    @first_derivatives_only
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        backward = torch.ops.local_attention.triton_backward.default
        return *spread(backward(gradient, *saved, ctx.spatial_extent), saved[:5]), None


# On the CPU they run in Triton's interpreter.
for device in ("CPU", "CUDA"):
    LIBRARY.impl("triton", _triton, device)
    LIBRARY.impl("triton_backward", _triton_backward, device)
LIBRARY.impl("triton", _TritonGradients.apply, "Autograd")
register_fake("local_attention::triton", lambda query, *_: empty_output(query), lib=LIBRARY)
register_fake(
    "local_attention::triton_backward",
    lambda gradient, *inputs: new_gradients(inputs[:5]),
    lib=LIBRARY,
)
register_flop_formula(torch.ops.local_attention.triton)(_numba_flops)


@register_flop_formula(torch.ops.local_attention.triton_backward)
def _triton_backward_flops(gradient: Any, query: Any, key: Any, value: Any, row: Any, *rest: Any, **_: object) -> int:
    return 2 * flops(query, key, row, rest[-1])
