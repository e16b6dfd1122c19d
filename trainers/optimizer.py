"""How one step changes the weights and their moving average.

Shapes: O output channels of a convolution, I its input channels, H height and W width of its kernel.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trainers.recipe import Recipe

SECOND_BETA = 0.999


def make_optimizer(model: nn.Module, recipe: Recipe) -> "torch.optim.Optimizer | MuonAndAdamW":
    """The recipe's optimizer; weights of convolutions and linear layers decay, everything else does not."""
    decayed, others = _parameters(model)
    if recipe.optimizer == "muon":
        return MuonAndAdamW(decayed, others, recipe)
    if recipe.optimizer == "adamw":
        return _adamw(decayed, others, recipe)
    return torch.optim.SGD(
        _groups(decayed, others, recipe),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        fused=True,
    )


class MuonAndAdamW:
    """Muon (K. Jordan, 2024) for the kernels of convolutions, each as a matrix of O rows, and AdamW for all the rest.

    Muon's steps are scaled as in arXiv 2502.16982, so that both have the learning rate and the decay of AdamW.
    """

    def __init__(self, decayed: Sequence[nn.Parameter], others: Sequence[nn.Parameter], recipe: Recipe) -> None:
        kernels = [parameter for parameter in decayed if parameter.ndim == 4]
        matrices = [parameter for parameter in decayed if parameter.ndim != 4]
        # torch's Muon takes matrices alone: these are views of the kernels.
        self._pairs = [(kernel, nn.Parameter(_matrix_view(kernel.detach()))) for kernel in kernels]
        self._muon = torch.optim.Muon(
            [matrix for _, matrix in self._pairs],
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            momentum=recipe.momentum,
            nesterov=recipe.momentum > 0,
            adjust_lr_fn="match_rms_adamw",
        )
        self._adamw = _adamw(matrices, others, recipe)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [*self._muon.param_groups, *self._adamw.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        self._adamw.zero_grad(set_to_none)
        for kernel, _ in self._pairs:
            kernel.grad = None

    def step(self) -> None:
        for kernel, matrix in self._pairs:
            # Laid out in memory as the kernel is.
            gradient = None if kernel.grad is None else torch.empty_like(kernel).copy_(kernel.grad)
            matrix.grad = None if gradient is None else _matrix_view(gradient)
        self._muon.step()
        self._adamw.step()

    def state_dict(self) -> dict[str, Any]:
        return {"muon": self._muon.state_dict(), "adamw": self._adamw.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._muon.load_state_dict(state["muon"])
        self._adamw.load_state_dict(state["adamw"])


def _matrix_view(kernel_OIHW: Tensor) -> Tensor:
    """The same memory as a matrix of O rows, in whatever order a row lies there."""
    lies_channels_last = kernel_OIHW.is_contiguous(memory_format=torch.channels_last)
    return (kernel_OIHW.permute(0, 2, 3, 1) if lies_channels_last else kernel_OIHW).view(len(kernel_OIHW), -1)


def _parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The weights of convolutions and linear layers, and all the rest."""
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            is_weight = name == "weight" and isinstance(module, nn.Conv2d | nn.Linear)
            (decayed if is_weight else others).append(parameter)
    return decayed, others


def _groups(decayed: Sequence[nn.Parameter], others: Sequence[nn.Parameter], recipe: Recipe) -> list[dict[str, Any]]:
    return [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]


def _adamw(decayed: Sequence[nn.Parameter], others: Sequence[nn.Parameter], recipe: Recipe) -> torch.optim.AdamW:
    betas = recipe.momentum, SECOND_BETA
    return torch.optim.AdamW(_groups(decayed, others, recipe), lr=recipe.learning_rate, betas=betas, fused=True)


@torch.no_grad()
def update_average(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    """averaged ← decay · averaged + (1 − decay) · model, for weights and batch-norm statistics; counters are copied.

    `torch.optim.swa_utils.AveragedModel` computes the same bits for one step, yet does not fit: its first update copies
    the model, its decay cannot grow over a training, it averages batch norm's counters as whole numbers (after 30
    updates by 0.9 they stand at 20), and its state has other names than those in checkpoints. Working around all of
    that takes more code than this function.
    """
    pairs = list(zip(averaged.state_dict().values(), model.state_dict().values(), strict=True))
    floating = [pair for pair in pairs if pair[0].is_floating_point()]
    torch._foreach_lerp_([mean for mean, _ in floating], [value for _, value in floating], 1 - decay)
    for mean, value in pairs:
        if not mean.is_floating_point():
            mean.copy_(value)
