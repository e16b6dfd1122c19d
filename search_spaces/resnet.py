"""The only builder: a description and the task it is for, to a module."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from search_spaces.architecture import EXPANSION, STAGE_COUNT, Architecture, stem_stride
from search_spaces.attention.layer import LocalSelfAttention
from search_spaces.attention.stem import AttentionStem
from search_spaces.bottleneck import Bottleneck


class ResNet(nn.Module):
    """(B, C, H, W) images to (B, classes) logits."""

    def __init__(self, architecture: Architecture, *, image_size: int, in_channels: int, classes: int) -> None:
        super().__init__()
        self.architecture = architecture
        self.stem = _stem(architecture, stem_stride(image_size), in_channels)
        stages = []
        channels_in = architecture.base_channels
        for index, operators in enumerate(architecture.stages):
            channels = architecture.stage_channels(index)
            blocks = []
            for position, operator in enumerate(operators):
                stride = 2 if index > 0 and position == 0 else 1
                blocks.append(Bottleneck(channels_in, channels, operator, stride))
                channels_in = channels * EXPANSION
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(architecture.stage_channels(STAGE_COUNT - 1) * EXPANSION, classes)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        return self.head(self.pool(self.stages(self.stem(images_BCHW))).flatten(1))


def build(architecture: Architecture, *, image_size: int, in_channels: int = 3, classes: int = 1000) -> ResNet:
    """The network of a description, for images of `image_size`² pixels (which fixes the stem's stride)."""
    model = ResNet(architecture, image_size=image_size, in_channels=in_channels, classes=classes)
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model


@contextmanager
def written_out(model: nn.Module) -> Iterator[None]:
    """While it lasts, attention is computed by torch's own operators alone, which is what is exported."""
    layers = [module for module in model.modules() if isinstance(module, LocalSelfAttention)]
    stems = [module for module in model.modules() if isinstance(module, AttentionStem)]
    backends, stem_backends = [layer.backend for layer in layers], [stem.backend for stem in stems]
    for layer in layers:
        layer.backend = "reference"
    for stem in stems:
        stem.backend = "blocks"
    try:
        yield
    finally:
        for layer, backend in zip(layers, backends, strict=True):
            layer.backend = backend
        for stem, stem_backend in zip(stems, stem_backends, strict=True):
            stem.backend = stem_backend


def _stem(architecture: Architecture, stride: int, in_channels: int) -> nn.Module:
    channels = architecture.base_channels
    if architecture.stem != "convolution":
        return AttentionStem(in_channels, channels, architecture.stem, stride)
    if stride == 4:
        return nn.Sequential(
            nn.Conv2d(in_channels, channels, 7, 2, padding=3, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, padding=1),
        )
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )
