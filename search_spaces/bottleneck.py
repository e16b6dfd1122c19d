"""The bottleneck block of the family, with convolution or attention at its centre.

Shapes: B batch, C channels, H height, W width.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.architecture import EXPANSION, Attention, Operator
from search_spaces.attention.layer import LocalSelfAttention

# The gradient of a strided 1×1 convolution of fewer channels, channels last, writes past its memory in oneDNN: programs
# end or hang, or weights come out wrong (oneDNN's issue 6035; 16 floats are a vector of AVX-512).
_LEAST_CHANNELS_OF_STRIDES = 16


class Bottleneck(nn.Module):
    """1×1, centre, 1×1, and a shortcut (ResNet v1.5): (B, C_in, H, W) to (B, 4·channels, ⌈H/stride⌉, ⌈W/stride⌉).

    A strided attention centre runs at the input's resolution and is followed by a 2×2 average pool, as in the paper.
    The last batch norm starts at zero, so that each block starts as its shortcut and deep attention networks train
    from the first epoch.
    """

    def __init__(self, in_channels: int, channels: int, operator: Operator, stride: int) -> None:
        super().__init__()
        out_channels = channels * EXPANSION
        self.reduce = _norm_conv(in_channels, channels)
        self.centre = _centre(channels, operator, stride)
        self.centre_norm = nn.BatchNorm2d(channels)
        self.expand = _norm_conv(channels, out_channels)
        last_norm = self.expand[1]
        assert isinstance(last_norm, nn.BatchNorm2d)
        nn.init.zeros_(last_norm.weight)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and in_channels == out_channels
            else _norm_conv(in_channels, out_channels, stride)
        )
        self.activation = nn.ReLU(inplace=True)

    def forward(self, input_BCHW: Tensor) -> Tensor:
        hidden = self.activation(self.reduce(input_BCHW))
        hidden = self.activation(self.centre_norm(self.centre(hidden)))
        return self.activation(self.expand(hidden) + self.shortcut(input_BCHW))


def _centre(channels: int, operator: Operator, stride: int) -> nn.Module:
    if not isinstance(operator, Attention):
        return nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
    attention = LocalSelfAttention(channels, channels, operator)
    if stride == 1:
        return attention
    return nn.Sequential(attention, nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False))


class _ProjectionOfFew(nn.Conv2d):
    """A strided 1×1 convolution that picks its pixels first, and has no stride then."""

    def forward(self, input: Tensor) -> Tensor:
        rows, columns = self.stride
        return F.conv2d(input[:, :, ::rows, ::columns], self.weight)


def _norm_conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """A 1×1 convolution and its batch norm."""
    of_few = stride > 1 and in_channels < _LEAST_CHANNELS_OF_STRIDES
    kind = _ProjectionOfFew if of_few else nn.Conv2d
    return nn.Sequential(kind(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))
