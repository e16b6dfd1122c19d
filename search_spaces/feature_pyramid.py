"""A network of the space as the backbone of a detector: its last stages, and a pyramid of features on top of them.

torchvision's detection models take it as it is: it has `out_channels`, and gives feature maps by name, finest first.

Shapes: B batch, C channels, H height, W width.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.architecture import EXPANSION, STAGE_COUNT, Architecture, Attention, Operator, stem_stride
from search_spaces.attention.layer import LocalSelfAttention
from search_spaces.detection_cost import PYRAMID_CHANNELS
from search_spaces.resnet import build

# What comes above the levels of the stages: two strided convolutions, as in RetinaNet, or a level that takes every
# second pixel of the last one, as in Faster R-CNN.
Coarser = Literal["convolutions", "pool"]


class PyramidBackbone(nn.Module):
    """(B, C, H, W) images to the levels of a feature pyramid over the stages from `first_stage` on, counted from 0.

    The stem is that of a network for images of `stem_image_size`² pixels; images may have any size. Stem and stages
    have the names that their weights have in the network of `search_spaces.resnet.build`.
    """

    def __init__(
        self,
        architecture: Architecture,
        *,
        stem_image_size: int,
        in_channels: int = 3,
        first_stage: int = 1,
        coarser: Coarser = "convolutions",
        operator: Operator,
        channels: int = PYRAMID_CHANNELS,
    ) -> None:
        super().__init__()
        network = build(architecture, image_size=stem_image_size, in_channels=in_channels, classes=1)
        self.stem, self.stages = network.stem, network.stages
        self.first_stage = first_stage
        stage_channels = [architecture.stage_channels(index) * EXPANSION for index in range(first_stage, STAGE_COUNT)]
        self.pyramid = FeaturePyramid(stage_channels, channels, operator, coarser)
        self.out_channels = channels
        strides = [stem_stride(stem_image_size) * 2**index for index in range(first_stage, STAGE_COUNT)]
        # By how much each level is smaller than the image.
        self.strides = (*strides, *(strides[-1] * 2 ** (index + 1) for index in range(self.pyramid.coarser_levels)))

    def forward(self, images_BCHW: Tensor) -> "OrderedDict[str, Tensor]":
        features, found = self.stem(images_BCHW), []
        for index, stage in enumerate(self.stages):
            features = stage(features)
            if index >= self.first_stage:
                found.append(features)
        return OrderedDict((str(index), level) for index, level in enumerate(self.pyramid(found)))


class FeaturePyramid(nn.Module):
    """The feature pyramid network of arXiv 1612.03144 over maps of `in_channels`, finest first: levels of `channels`.

    `operator` computes each level from the sum of its own map and the coarser ones: a 3×3 convolution, or attention,
    then without the convolution's bias. Initialised as torchvision's, which it equals where it is all convolution.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, operator: Operator, coarser: Coarser) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(each, channels, 1) for each in in_channels)
        self.output = nn.ModuleList(_operator(channels, operator) for _ in in_channels)
        strided = 2 if coarser == "convolutions" else 0
        self.coarser = nn.ModuleList(nn.Conv2d(channels, channels, 3, stride=2, padding=1) for _ in range(strided))
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.kaiming_uniform_(module.weight, a=1)
                nn.init.zeros_(module.bias)

    @property
    def coarser_levels(self) -> int:
        return max(1, len(self.coarser))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        sums = [lateral(each) for lateral, each in zip(self.lateral, maps, strict=True)]
        for index in range(len(sums) - 2, -1, -1):
            sums[index] = sums[index] + F.interpolate(sums[index + 1], size=sums[index].shape[-2:], mode="nearest")
        levels = [output(each) for output, each in zip(self.output, sums, strict=True)]
        if not self.coarser:
            return [*levels, F.max_pool2d(levels[-1], 1, 2)]
        first, second = self.coarser
        levels.append(first(levels[-1]))
        return [*levels, second(F.relu(levels[-1]))]


def _operator(channels: int, operator: Operator) -> nn.Module:
    if isinstance(operator, Attention):
        return LocalSelfAttention(channels, channels, operator)
    return nn.Conv2d(channels, channels, 3, padding=1)
