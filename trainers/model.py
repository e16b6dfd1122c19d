"""The network of an architecture for a data set, initialised by a seed."""

import torch
from torch import nn

from search_spaces.architecture import Architecture
from search_spaces.resnet import build
from trainers.data.config import DataSummary


def seeded_model(architecture: Architecture, summary: DataSummary, seed: int) -> nn.Module:
    """The network on the CPU in channels_last order, equal for equal seeds; torch's random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build(
            architecture,
            image_size=summary.image_size,
            in_channels=summary.in_channels,
            classes=summary.classes,
        )
    # torch's own annotations leave this argument out before 2.14.
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
