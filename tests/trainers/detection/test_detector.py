"""torchvision's detectors on networks of the space: what they cost, what they learn from, and what stays."""

import dataclasses
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from search_spaces.detection_cost import retinanet_cost
from search_spaces.errors import UserError
from search_spaces.paper_models import ARCHITECTURES
from search_spaces.resnet import build
from tests.support.tiny_training import TINY
from trainers.detection.box_targets import BoxTargets
from trainers.detection.design import OPERATORS, DetectorDesign
from trainers.detection.detector import load_backbone, seeded_detector

DESIGN = DetectorDesign(
    TINY, "retinanet", "convolution", "convolution", 224, (0.5,) * 3, (0.25,) * 3, True, 64, ("a", "b"), (3, 17)
)
BOXES = torch.tensor([[8.0, 8, 40, 40]])


def batch(labels: tuple[int, ...]) -> BoxTargets:
    return BoxTargets((BOXES, BOXES[:0]), (torch.tensor(labels), torch.zeros(0, dtype=torch.int64)), seed=5)


@pytest.mark.parametrize(("backbone", "operator"), [("resnet26", "convolution"), ("resnet26-attention", "attention")])
def test_a_detector_costs_what_is_counted(backbone: str, operator: str) -> None:
    design = dataclasses.replace(
        DESIGN, architecture=ARCHITECTURES[backbone], pyramid=operator, head=operator, frozen_norms=False
    )
    with torch.device("meta"):
        detector = seeded_detector(design, 0).eval()
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            features = detector.backbone(torch.empty(1, 3, 100, 100))  # type: ignore[operator]
            detector.head(list(features.values()))  # type: ignore[operator]
    expected = retinanet_cost(
        design.architecture, image_size=100, classes=2, anchors=9, pyramid=OPERATORS[operator], head=OPERATORS[operator]
    )
    assert counter.get_total_flops() == expected.flops
    assert sum(parameter.numel() for parameter in detector.parameters()) == expected.params


def look_at_few_proposals(detector: Any) -> None:
    """Without torchvision's own operators as many as usual take a minute."""
    detector.rpn._pre_nms_top_n = detector.rpn._post_nms_top_n = {"training": 40, "testing": 10}
    detector.roi_heads.fg_bg_sampler.batch_size_per_image = 8


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pyramid": "attention", "head": "attention"},
        pytest.param({"model": "faster_rcnn", "pyramid": "attention"}, marks=pytest.mark.slow),
    ],
    ids=["retinanet", "attention", "faster_rcnn"],
)
def test_a_detector_has_gradients_everywhere_and_finds_boxes(changes: dict[str, str]) -> None:
    design = dataclasses.replace(DESIGN, **changes)  # type: ignore[arg-type]
    detector = seeded_detector(design, 0).train()
    if design.model == "faster_rcnn":
        look_at_few_proposals(detector)
    images = torch.randn(2, 3, 64, 64)
    targets = batch((1 + design.first_label,))
    state = torch.random.get_rng_state()
    loss = targets.loss_of(detector, images, 0.0)
    loss.backward()
    # Torch's own random numbers are left alone, and those of a loss are the same each time.
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(targets.loss_of(detector, images, 0.0), loss)
    missing = [name for name, parameter in detector.named_parameters() if parameter.grad is None]
    assert missing == []
    found = detector.eval()(images)
    assert len(found) == 2 and all(set(each) == {"boxes", "scores", "labels"} for each in found)


@pytest.mark.parametrize("seed", range(5))
def test_batch_norm_and_weights_of_a_trained_backbone_stay(seed: int) -> None:
    """What it computes is that of the network, but for rounding: frozen, normalisation is one product and one sum."""
    random = torch.Generator().manual_seed(seed)
    network = build(TINY, image_size=224, classes=5)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            torch.nn.init.uniform_(module.running_mean, generator=random)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5, generator=random)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5, generator=random)
            torch.nn.init.uniform_(module.bias, 0.5, 1.5, generator=random)
    detector = seeded_detector(DESIGN, 0)
    load_backbone(detector, network.state_dict())
    before = {
        name: value.clone() for name, value in detector.state_dict().items() if "norm" in name or "running" in name
    }
    detector.train()
    images = torch.randn(2, 3, 64, 64, generator=random)
    batch((1,)).loss_of(detector, images, 0.0).backward()
    after = detector.state_dict()
    assert before and all(torch.equal(after[name], value) for name, value in before.items())
    network.double().eval()
    images = images.double()
    expected = network.stages(network.stem(images))
    backbone = detector.double().backbone
    found = backbone.stages(backbone.stem(images))  # type: ignore[operator, union-attr]
    assert expected.abs().mean() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_a_design_is_plain_data_and_refuses_what_is_none() -> None:
    assert DetectorDesign.from_json(DESIGN.to_json()) == DESIGN
    with pytest.raises(UserError, match=r"unknown --model 'retinanett': .* Did you mean 'retinanet'"):
        dataclasses.replace(DESIGN, model="retinanett")
    with pytest.raises(UserError, match="--head is 'attention'"):
        dataclasses.replace(DESIGN, model="faster_rcnn", head="attention")


def test_parts_of_a_batch_are_those_of_its_images() -> None:
    targets = BoxTargets((BOXES,) * 5, (torch.tensor([1]),) * 5, 0)
    assert [len(part) for part in targets.chunk(2)] == [len(part) for part in torch.zeros(5).chunk(2)]
