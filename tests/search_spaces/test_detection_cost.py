"""FLOPs and parameters of detectors against the paper's COCO table, and a pyramid against torchvision's."""

from collections import OrderedDict

import pytest
import torch

from search_spaces.architecture import Convolution, Operator
from search_spaces.detection_cost import PAPER_ANCHORS, PAPER_CLASSES, PAPER_IMAGE_SIZE, retinanet_cost
from search_spaces.feature_pyramid import Coarser, FeaturePyramid, PyramidBackbone
from search_spaces.paper_models import ARCHITECTURES, PAPER_ATTENTION
from tests.support.tiny_training import TINY
from trainers.data.torchvision_import import torchvision

# arXiv 1906.05909, table 3: FLOPS in billions, parameters in millions; and how far the FLOPS here lie from them.
PAPER = {
    "resnet50": (182, 33.4, 0.5),
    "resnet50-conv-stem-attention": (173, 25.9, 0.6),
    "resnet50-attention": (173, 25.9, 1.2),
}


def paper_cost(backbone: str, operator: Operator) -> tuple[float, float]:
    found = retinanet_cost(
        ARCHITECTURES[backbone],
        image_size=PAPER_IMAGE_SIZE,
        classes=PAPER_CLASSES,
        anchors=PAPER_ANCHORS,
        pyramid=operator,
        head=operator,
    )
    return found.flops / 1e9, found.params / 1e6


@pytest.mark.parametrize("backbone", PAPER)
def test_cells_of_the_papers_backbones(backbone: str) -> None:
    flops, params, near = PAPER[backbone]
    found_flops, found_params = paper_cost(backbone, Convolution())
    assert found_flops == pytest.approx(flops, abs=near)
    assert round(found_params, 1) == params


def test_the_cells_of_attention_in_pyramid_and_head_are_as_far_off_as_is_said() -> None:
    found = paper_cost("resnet50-conv-stem-attention", PAPER_ATTENTION)
    assert (round(found[0], 1), round(found[1], 1)) == (118.0, 21.6)


def test_a_pyramid_of_convolutions_is_torchvisions() -> None:
    ops = torchvision().ops.feature_pyramid_network
    pyramid = FeaturePyramid([8, 16, 24], 12, Convolution(), "convolutions")
    theirs = ops.FeaturePyramidNetwork([8, 16, 24], 12, ops.LastLevelP6P7(12, 12))
    weights: dict[str, torch.Tensor] = {}
    for index in range(3):
        weights |= {f"inner_blocks.{index}.0.{name}": value for name, value in _named(pyramid.lateral[index])}
        weights |= {f"layer_blocks.{index}.0.{name}": value for name, value in _named(pyramid.output[index])}
    for index in range(2):
        weights |= {f"extra_blocks.p{6 + index}.{name}": value for name, value in _named(pyramid.coarser[index])}
    theirs.load_state_dict(weights)
    # Sides that do not halve evenly, too.
    maps = [torch.randn(2, channels, *sides) for channels, sides in ((8, (13, 10)), (16, (7, 5)), (24, (4, 3)))]
    expected = theirs(OrderedDict(zip("abc", maps, strict=True))).values()
    for level, other in zip(pyramid(maps), expected, strict=True):
        torch.testing.assert_close(level, other)


def _named(module: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    return list(module.state_dict().items())


@pytest.mark.parametrize("coarser", ["convolutions", "pool"])
def test_the_levels_of_a_backbone_are_smaller_by_its_strides(coarser: Coarser) -> None:
    first = 1 if coarser == "convolutions" else 0
    backbone = PyramidBackbone(
        TINY,
        stem_image_size=64,
        first_stage=first,
        coarser=coarser,
        operator=PAPER_ATTENTION,
        channels=16,
    )
    levels = backbone.eval()(torch.randn(1, 3, 96, 70))
    assert backbone.strides[0] == (4 if first else 2)
    for level, stride in zip(levels.values(), backbone.strides, strict=True):
        assert level.shape == (1, 16, -(-96 // stride), -(-70 // stride))
