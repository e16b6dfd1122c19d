"""FLOPs and parameters of RetinaNet (arXiv 1708.02002) with a backbone of the space, exact, without building it.

Counted as in `search_spaces.cost`: the backbone without its classifier, a pyramid of 256 channels over its last three
stages with two coarser levels, each a strided 3×3 convolution of the level before it, and two subnets, which all levels
share, of four operators and a 3×3 convolution that predicts.

The paper's table (arXiv 1906.05909, table 3) does not say its setting. Its first two backbones are 9 B apart, rounded,
and 1.21 B at 224² pixels: images have 575 to 643 pixels a side, and 640 is what RetinaNet is commonly trained at. Given
that, six anchors a place and 90 classes fit both numbers of the first cell, and are assumed here, as is a pyramid whose
coarser levels follow from its last one. The cells of backbones come out to 0.6 B of the FLOPs, but for the attention
stem's 1.2 B, and to the printed digit of the parameters. The cells of attention in pyramid and head (111 B, 22.0 M) do
not: here they are 118.0 B and 21.6 M. Nearest to them, at 110.6 B and 21.9 M, is attention in all of the head, its
predictions included, and none in the pyramid; but eight heads do not divide 540 channels of predictions, and the text
says that the pyramid has attention, too.
"""

from search_spaces.architecture import EXPANSION, STAGE_COUNT, Architecture, Convolution, Operator, stem_stride
from search_spaces.cost import Cost, PartCost, cost, operator_cost

# Of every level of the pyramid.
PYRAMID_CHANNELS = 256
# Of the paper's table, as far as they can be told.
PAPER_IMAGE_SIZE, PAPER_CLASSES, PAPER_ANCHORS = 640, 90, 6
# The operators of each of the two subnets of the head.
HEAD_LAYERS = 4
_FIRST_STAGE = 1
_BOX_EDGES = 4


def retinanet_cost(
    backbone: Architecture,
    *,
    image_size: int,
    classes: int,
    anchors: int,
    pyramid: Operator,
    head: Operator,
) -> Cost:
    """The cost of a RetinaNet on one square image of `image_size` pixels a side, with so many anchors at each place.

    `pyramid` and `head` are the operators in their 3×3 layers.
    """
    parts = [part for part in cost(backbone, image_size=image_size, classes=1).parts if part.section != "head"]
    channels = PYRAMID_CHANNELS
    sides = [-(-image_size // stem_stride(image_size))]
    for _ in range(STAGE_COUNT - 1 + 2):
        sides.append(-(-sides[-1] // 2))
    pixels = [side**2 for side in sides[_FIRST_STAGE:]]
    for index in range(_FIRST_STAGE, STAGE_COUNT):
        of_stage, here = backbone.stage_channels(index) * EXPANSION, pixels[index - _FIRST_STAGE]
        parts.append(PartCost("pyramid", "conv1x1", 2 * of_stage * channels * here, (of_stage + 1) * channels))
        parts += _layer("pyramid", channels, channels, pyramid, [here])
    for here in pixels[-2:]:
        parts += _layer("pyramid", channels, channels, Convolution(), [here])
    for predictions in (anchors * classes, anchors * _BOX_EDGES):
        for _ in range(HEAD_LAYERS):
            parts += _layer("head", channels, channels, head, pixels)
        parts += _layer("head", channels, predictions, Convolution(), pixels)
    return Cost(sum(part.flops for part in parts), sum(part.params for part in parts), tuple(parts))


def _layer(
    section: str, channels_in: int, channels_out: int, operator: Operator, pixels_of_levels: list[int]
) -> list[PartCost]:
    """A layer that is applied to maps of so many pixels; convolutions have a bias, attention has none."""
    pixels = sum(pixels_of_levels)
    parts = operator_cost(channels_in, channels_out, operator, pixels, pixels)
    bias = channels_out if isinstance(operator, Convolution) else 0
    return [PartCost(section, part, flops, params + bias) for part, flops, params in parts]
