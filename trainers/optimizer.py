"""How one step changes the weights and their moving average."""

import torch
from torch import nn

from trainers.recipe import Recipe


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """SGD with Nesterov momentum; weights of convolutions and linear layers decay, everything else does not."""
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            is_weight = name == "weight" and isinstance(module, nn.Conv2d | nn.Linear)
            (decayed if is_weight else others).append(parameter)
    return torch.optim.SGD(
        [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        fused=True,
    )


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
