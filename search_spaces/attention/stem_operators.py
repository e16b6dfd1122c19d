"""The attention stem as an operator of torch's own kind, as in `operators.py`, on whose library it is.

    local_attention::stem(image, query_weight, key_weight, value_weight?, mixture?, value?, row, column) -> output
    local_attention::stem_backward(output's gradient, inputs, of_image) -> gradients of the inputs that are there

Values are made of the image by M components, mixed by the pixel's place in its block of 4×4, or given. The image's
gradient, which training does not ask for, is left out unless `of_image`. First derivatives only.

Shapes: B batch, H height, W width, C colours, N heads, D channels a head, d = D/2, M components, P the 16 pixels of a
block.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.library import register_fake
from torch.utils.flop_counter import register_flop_formula

from search_spaces.architecture import STEM_WINDOW
from search_spaces.attention.first_derivatives import first_derivatives_only
from search_spaces.attention.inputs import spread, stem_gradients
from search_spaces.attention.operators import LIBRARY, TAGS, device_of

INPUTS = (
    "Tensor image, Tensor query_weight, Tensor key_weight, Tensor? value_weight, Tensor? mixture, Tensor? value, "
    "Tensor row, Tensor column"
)


def flops(image_shape: Sequence[int], query_shape: Sequence[int], value_shape: Sequence[int] | None) -> int:
    """Two a multiply-add of each pixel's projections, and of q·k, q·r and the weighted sum over the 16 pixels of its
    block, pixels beyond the border included; mixing is done to the colours and counts nothing."""
    images, height, width, colours = image_shape
    channels = query_shape[1] * query_shape[2]
    components = 0 if value_shape is None else value_shape[1]
    rows, columns = (-(-side // STEM_WINDOW) * STEM_WINDOW for side in (height, width))
    projections = (2 + components) * colours * channels * height * width
    return 2 * images * (projections + 3 * STEM_WINDOW**2 * channels * rows * columns)


LIBRARY.define(f"stem({INPUTS}) -> Tensor", tags=TAGS)
LIBRARY.define(f"stem_backward(Tensor gradient, {INPUTS}, bool of_image) -> Tensor[]", tags=TAGS)


def triton_stem(*inputs: Any) -> Tensor:
    """The stem's attention by the Triton kernels, (B, H, W, N, D), in the image's dtype. What is learned keeps its own,
    in which its gradients are summed."""
    output: Tensor = torch.ops.local_attention.stem.default(*inputs)
    return output


def _forward(*inputs: Any) -> Tensor:
    from search_spaces.attention.triton_stem import triton_stem_forward

    with device_of(inputs[0]):
        return triton_stem_forward(inputs)


def _backward(gradient: Tensor, *inputs: Any) -> list[Tensor]:
    from search_spaces.attention.triton_stem import triton_stem_backward

    with device_of(gradient):
        return triton_stem_backward(gradient, inputs[:8], inputs[8])


class _Gradients(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        ctx.save_for_backward(*inputs)
        with torch._C._AutoDispatchBelowAutograd():
            return torch.ops.local_attention.stem.default(*inputs)

    @staticmethod
    @first_derivatives_only
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors
        of_image = ctx.needs_input_grad[0]
        found = torch.ops.local_attention.stem_backward.default(gradient, *inputs, of_image)
        return spread(found, inputs) if of_image else (None, *spread(found, inputs[1:]))


def _empty_output(image: Tensor, query_weight: Tensor, *_: object) -> Tensor:
    return image.new_empty(*image.shape[:3], *query_weight.shape[1:])


# On the CPU they run in Triton's interpreter.
for device in ("CPU", "CUDA"):
    LIBRARY.impl("stem", _forward, device)
    LIBRARY.impl("stem_backward", _backward, device)
LIBRARY.impl("stem", _Gradients.apply, "Autograd")
register_fake("local_attention::stem", _empty_output, lib=LIBRARY)
register_fake(
    "local_attention::stem_backward",
    lambda gradient, *inputs: stem_gradients(inputs[:8], inputs[8]),
    lib=LIBRARY,
)


@register_flop_formula(torch.ops.local_attention.stem)
def _stem_flops(image: Any, query: Any, key: Any, value: Any, *rest: Any, **_: object) -> int:
    return flops(image, query, value)


@register_flop_formula(torch.ops.local_attention.stem_backward)
def _stem_backward_flops(gradient: Any, image: Any, query: Any, key: Any, value: Any, *rest: Any, **_: object) -> int:
    return 2 * flops(image, query, value)
