"""Sums over the parts of a batch that come out the same to the bit, however the parts lie over processes and passes.

A training amplifies rounding: weights that differ by 1e-7 in the beginning are some percent of accuracy apart after a
hundred steps. So that equal trainings end equal, sums must not round by the order in which they are made.

Shapes: P passes of a process, U parts of a batch, V values.
"""

import torch
from torch import Tensor, nn

# Gradients count in whole multiples of this, of which double precision adds up 2^53 exactly.
QUANTUM = 2.0**-40


class ExactGradients:
    """The sum of the gradients of all parts of a batch; each element is exact to QUANTUM while it stays below 8,192."""

    def __init__(self, model: nn.Module) -> None:
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._sum_V: Tensor | None = None

    @torch.no_grad()
    def add(self) -> None:
        """Moves the gradients that a part has left on the parameters into the sum."""
        pairs = ((parameter, parameter.grad) for parameter in self._parameters)
        found = [torch.zeros_like(parameter) if gradient is None else gradient for parameter, gradient in pairs]
        quanta_V = torch.cat([gradient.flatten().double() for gradient in found]).div_(QUANTUM).round_()
        self._sum_V = quanta_V if self._sum_V is None else self._sum_V.add_(quanta_V)
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def finish(self, world_size: int) -> None:
        """Puts the sum over all processes onto the parameters, as their gradients."""
        assert self._sum_V is not None
        if world_size > 1:
            torch.distributed.all_reduce(self._sum_V)
        values = self._sum_V.mul_(QUANTUM).split([parameter.numel() for parameter in self._parameters])
        for parameter, value_V in zip(self._parameters, values, strict=True):
            # Laid out in memory as the parameter is, whatever the order of its dimensions there.
            parameter.grad = torch.empty_like(parameter).copy_(value_V.view(parameter.shape))
        self._sum_V = None


def in_batch_order(values_PV: Tensor, world_size: int) -> Tensor:
    """The values of all parts of a batch, (U, V), in the order of its images, from those of each process."""
    if world_size == 1:
        return values_PV
    found = [torch.empty_like(values_PV) for _ in range(world_size)]
    torch.distributed.all_gather(found, values_PV)
    return torch.stack(found, dim=1).flatten(0, 1)
