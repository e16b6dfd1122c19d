"""The detector of a design: torchvision's RetinaNet or Faster R-CNN over a feature pyramid on a network of the space.

Shapes: B batch, C channels, H height, W width.
"""

from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.architecture import Attention
from search_spaces.attention.layer import LocalSelfAttention
from search_spaces.detection_cost import HEAD_LAYERS
from search_spaces.feature_pyramid import PyramidBackbone
from trainers.data.torchvision_import import torchvision
from trainers.detection.design import OPERATORS, RETINANET, DetectorDesign

# Of an image, as COCO's evaluation looks at no more.
MOST_DETECTIONS = 100
# The side of an anchor in strides of its level, and what multiplies it, as in the papers of both models.
_RETINANET_ANCHOR, _RETINANET_SCALES = 4, (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
_FASTER_RCNN_ANCHOR = 8
_RATIOS = (0.5, 1.0, 2.0)


def seeded_detector(design: DetectorDesign, seed: int) -> nn.Module:
    """The detector on the CPU, equal for equal seeds; torch's random state stays as it was.

    It takes (B, C, H, W) normalised images, in training with a list of boxes and labels, and gives its losses, or what
    it finds on each image, as torchvision's models do.
    """
    models = torchvision().models.detection
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        is_retinanet = design.model == RETINANET
        backbone = PyramidBackbone(
            design.architecture,
            stem_image_size=design.stem_image_size,
            in_channels=len(design.mean),
            first_stage=1 if is_retinanet else 0,
            coarser="convolutions" if is_retinanet else "pool",
            operator=OPERATORS[design.pyramid],
        )
        if design.frozen_norms:
            _freeze_norms(backbone)
        if is_retinanet:
            sizes = [
                tuple(_RETINANET_ANCHOR * stride * scale for scale in _RETINANET_SCALES) for stride in backbone.strides
            ]
            model = models.RetinaNet(
                backbone,
                num_classes=len(design.classes),
                anchor_generator=_anchors(sizes),
                detections_per_img=MOST_DETECTIONS,
            )
            _set_operator(model, design)
        else:
            model = models.FasterRCNN(
                backbone,
                num_classes=len(design.classes) + 1,
                rpn_anchor_generator=_anchors([(_FASTER_RCNN_ANCHOR * stride,) for stride in backbone.strides]),
                box_roi_pool=torchvision().ops.MultiScaleRoIAlign(
                    [str(level) for level in range(len(backbone.strides) - 1)], output_size=7, sampling_ratio=2
                ),
                box_detections_per_img=MOST_DETECTIONS,
            )
        model.transform = _AsTheyAre()
    found: nn.Module = model.to(memory_format=torch.channels_last)
    return found


def load_backbone(detector: nn.Module, weights: dict[str, Tensor]) -> None:
    """Puts the weights of a network of the space, but for its classifier, into a detector's backbone.

    Raises RuntimeError where they do not fit.
    """
    backbone: Any = detector.backbone
    for name in ("stem", "stages"):
        prefix = f"{name}."
        part = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        getattr(backbone, name).load_state_dict(part)


def _anchors(sizes: list[tuple[float, ...]]) -> Any:
    generator = torchvision().models.detection.anchor_utils.AnchorGenerator
    return generator(tuple(sizes), (_RATIOS,) * len(sizes))


def _set_operator(model: Any, design: DetectorDesign) -> None:
    """Has both subnets of a RetinaNet's head made of the design's operator; what predicts stays a convolution."""
    operator, channels = OPERATORS[design.head], model.backbone.out_channels
    if not isinstance(operator, Attention):
        return
    for subnet in (model.head.classification_head, model.head.regression_head):
        layers = ((LocalSelfAttention(channels, channels, operator), nn.ReLU()) for _ in range(HEAD_LAYERS))
        subnet.conv = nn.Sequential(*(module for layer in layers for module in layer))


def _freeze_norms(backbone: nn.Module) -> None:
    """Has batch norm keep the statistics and weights that it has: a few images of a detector's would spoil them."""
    frozen = torchvision().ops.FrozenBatchNorm2d
    for parent in list(backbone.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, frozen(child.num_features, eps=child.eps))


class _AsTheyAre(nn.Module):
    """In the place of torchvision's own resizing and normalising: images come as squares, and normalised."""

    def forward(self, images_BCHW: Tensor, targets: Any = None) -> tuple[Any, Any]:
        image_list = torchvision().models.detection.image_list.ImageList
        return image_list(images_BCHW, [tuple(images_BCHW.shape[-2:])] * len(images_BCHW)), targets

    def postprocess(self, found: list[dict[str, Tensor]], shapes: Any, original_shapes: Any) -> list[dict[str, Tensor]]:
        return found
