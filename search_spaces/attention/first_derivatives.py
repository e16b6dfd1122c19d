"""Gradients that have no derivatives of their own, and say so where these are asked for."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor

Gradients = tuple[Tensor | None, ...]


def first_derivatives_only(backward: Callable[..., Gradients]) -> Callable[..., Gradients]:
    """For the backward method of an autograd function: whoever differentiates its gradients again is told that there is
    nothing behind them. Torch's own `once_differentiable` says that they do not depend on what was asked about."""

    @wraps(backward)
    def refusing(ctx: Any, *gradients: Tensor) -> Gradients:
        if not torch.is_grad_enabled():
            return backward(ctx, *gradients)
        with torch.no_grad():
            found = backward(ctx, *gradients)
        return _NoSecondDerivatives.apply(len(found), *found, *gradients, *ctx.saved_tensors)  # type: ignore[no-untyped-call, unused-ignore]

    return refusing


class _NoSecondDerivatives(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, number: int, *tensors: Tensor | None) -> Gradients:
        return tuple(None if tensor is None else tensor.view_as(tensor) for tensor in tensors[:number])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Gradients:
        raise RuntimeError(
            "attention has first derivatives only here: its backend 'reference' has second ones, too, "
            "and so has the stem's 'blocks'."
        )
