"""Batch norm over a given number of images: several groups of a pass, or the images of several processes.

Over accumulated passes there are no common statistics, since the first pass has gone through the network before the
last one begins. What can be common is the size of the groups: then the same images are normalised together, whatever
the number of processes and of passes.

Shapes: N images of a pass, C channels, H height, W width.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainers.batch_layout import BatchLayout
from trainers.exact_sums import in_batch_order


class GroupBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` whose statistics in training are those of `group` images of `processes` processes together.

    The running statistics move once a step, by `finish_step`, to the mean over all groups of all processes, of which
    `note_pass` takes note after each pass: a graph that is compiled cannot keep a list.
    """

    def __init__(self, norm: nn.BatchNorm2d, group: int, process_group: Any, processes: int) -> None:
        assert norm.affine and norm.track_running_stats and norm.momentum is not None
        super().__init__(norm.num_features, eps=norm.eps, momentum=norm.momentum)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self._group, self._process_group, self._processes = group, process_group, processes
        # Mean and unbiased variance, (2, C), of each group of the last pass, and of all since the last step.
        self.of_pass: tuple[Tensor, ...] = ()
        self.statistics: list[Tensor] = []

    def forward(self, images_NCHW: Tensor) -> Tensor:
        if not self.training:
            return super().forward(images_NCHW)
        if self._processes > 1:
            apply: Callable[..., tuple[Tensor, Tensor]] = _SharedNorm.apply
            normed, statistics_2C = apply(
                images_NCHW, self.weight, self.bias, self.eps, self._process_group, self._processes
            )
            self.of_pass = (statistics_2C,)
            return normed
        parts, statistics = zip(*(self._normed(part) for part in images_NCHW.split(self._group)), strict=True)
        self.of_pass = statistics
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _normed(self, images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        # With a momentum of 1 the "running" statistics that torch writes are those of this group.
        statistics_2C = torch.zeros_like(self.weight).repeat(2, 1)
        normed = F.batch_norm(
            images_NCHW, statistics_2C[0], statistics_2C[1], self.weight, self.bias, True, 1.0, self.eps
        )
        return normed, statistics_2C


def grouped_norms(model: nn.Module, layout: BatchLayout, rank: int) -> list[GroupBatchNorm2d]:
    """Has the batch norms of `model` take their statistics as the layout says; those norms.

    Where they do so as they are, over the one pass of the one process, they stay as they are and none is returned.
    """
    if layout.norm_batch == layout.batch_size and layout.world_size == 1:
        return []
    group = _process_group(layout, rank)
    found: list[GroupBatchNorm2d] = []
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                found.append(GroupBatchNorm2d(child, layout.norm_batch, group, layout.norm_processes))
                setattr(parent, name, found[-1])
    return found


@torch.no_grad()
def note_pass(norms: list[GroupBatchNorm2d]) -> None:
    """Keeps the statistics of the pass that has gone through."""
    for norm in norms:
        # CUDA graphs write the next ones to the same place.
        norm.statistics += [statistics_2C.clone() for statistics_2C in norm.of_pass]
        norm.of_pass = ()


@torch.no_grad()
def finish_step(norms: list[GroupBatchNorm2d], world_size: int, *, in_order: bool) -> None:
    """Moves the running statistics to those of the batch that has gone through, the same in all processes.

    `in_order` has the mean over all groups come out the same to the bit on any layout; without it less is sent.
    """
    if not norms:
        return
    values_PV = torch.cat([torch.stack(norm.statistics).double().flatten(1) for norm in norms], dim=1)
    if not in_order:
        values_PV = values_PV.mean(0, keepdim=True)
    batch_V = in_batch_order(values_PV, world_size).mean(0)
    for norm, values in zip(norms, batch_V.split([2 * norm.num_features for norm in norms]), strict=True):
        assert norm.running_mean is not None and norm.running_var is not None and norm.momentum is not None
        assert norm.num_batches_tracked is not None
        mean_C, variance_C = values.to(norm.running_mean.dtype).chunk(2)
        norm.running_mean.lerp_(mean_C, norm.momentum)
        norm.running_var.lerp_(variance_C, norm.momentum)
        norm.num_batches_tracked += 1
        norm.statistics.clear()


def _process_group(layout: BatchLayout, rank: int) -> Any:
    """The processes that this one takes its statistics with, None for itself. All processes must call it."""
    if layout.norm_processes == 1:
        return None
    mine = None
    for first in range(0, layout.world_size, layout.norm_processes):
        ranks = list(range(first, first + layout.norm_processes))
        made = torch.distributed.new_group(ranks)
        mine = made if rank in ranks else mine
    return mine


class _SharedNorm(torch.autograd.Function):
    """Batch norm over the equally many images of several processes; torch's own, SyncBatchNorm, is for CUDA alone.

    Gives the normed images and their mean and unbiased variance, (2, C). Each process has the gradient of the sum of
    all their losses, of which DistributedDataParallel takes the mean.
    """

    @staticmethod
    def forward(
        ctx: Any, images_NCHW: Tensor, weight_C: Tensor, bias_C: Tensor, eps: float, group: Any, processes: int
    ) -> tuple[Tensor, Tensor]:
        values = images_NCHW.to(torch.promote_types(images_NCHW.dtype, torch.float32))
        variance_C, mean_C = torch.var_mean(values, (0, 2, 3), correction=0)
        # Sums of squares of means of so few values lose nothing in double precision.
        moments_2C = torch.stack([mean_C.double(), variance_C.double() + mean_C.double() ** 2])
        torch.distributed.all_reduce(moments_2C, group=group)
        moments_2C /= processes
        mean_C, variance_C = moments_2C[0], moments_2C[1] - moments_2C[0] ** 2
        count = processes * values.numel() // values.shape[1]
        inverse_C = (variance_C + eps).rsqrt()
        scale_C = weight_C.double() * inverse_C
        ctx.save_for_backward(images_NCHW, weight_C, mean_C, inverse_C)
        ctx.group, ctx.count = group, count
        normed = values * _channels(scale_C, values) + _channels(bias_C.double() - mean_C * scale_C, values)
        statistics_2C = torch.stack([mean_C, variance_C * (count / (count - 1))])
        ctx.mark_non_differentiable(statistics_2C)
        return normed.to(images_NCHW.dtype), statistics_2C

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        images_NCHW, weight_C, mean_C, inverse_C = ctx.saved_tensors
        values = images_NCHW.to(torch.promote_types(images_NCHW.dtype, torch.float32))
        gradient = gradients[0].to(values.dtype)
        standard = (values - _channels(mean_C, values)) * _channels(inverse_C, values)
        sums_2C = torch.stack([gradient.sum((0, 2, 3)), (gradient * standard).sum((0, 2, 3))])
        all_sums_2C = sums_2C.double()
        torch.distributed.all_reduce(all_sums_2C, group=ctx.group)
        all_sums_2C /= ctx.count
        inner = gradient - _channels(all_sums_2C[0], values) - standard * _channels(all_sums_2C[1], values)
        images_gradient = inner * _channels(weight_C.double() * inverse_C, values)
        bias_gradient, weight_gradient = sums_2C.to(weight_C.dtype)
        return images_gradient.to(images_NCHW.dtype), weight_gradient, bias_gradient, None, None, None


def _channels(values_C: Tensor, like: Tensor) -> Tensor:
    return values_C.to(like.dtype)[:, None, None]
