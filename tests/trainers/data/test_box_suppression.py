"""Non-maximum suppression against its definition."""

import torch
from torch import Tensor

from trainers.data.box_suppression import suppressed
from trainers.data.torchvision_import import torchvision


def by_definition(boxes_N4: Tensor, scores_N: Tensor, threshold: float) -> list[int]:
    overlap_NN = torchvision().ops.box_iou(boxes_N4, boxes_N4)
    kept: list[int] = []
    for index in scores_N.argsort(descending=True, stable=True).tolist():
        if all(overlap_NN[index, other] <= threshold for other in kept):
            kept.append(index)
    return kept


def test_what_overlaps_a_better_box_goes() -> None:
    generator = torch.Generator().manual_seed(0)
    for threshold in (0.3, 0.5, 0.7):
        corner_N2 = 50 * torch.rand(200, 2, generator=generator)
        boxes_N4 = torch.cat([corner_N2, corner_N2 + 1 + 30 * torch.rand(200, 2, generator=generator)], 1)
        # Equal scores, too.
        scores_N = (20 * torch.rand(200, generator=generator)).round() / 20
        expected = by_definition(boxes_N4, scores_N, threshold)
        assert suppressed(boxes_N4, scores_N, threshold).tolist() == expected and 5 < len(expected) < 195


def test_of_no_boxes_none_stays() -> None:
    assert suppressed(torch.zeros(0, 4), torch.zeros(0), 0.5).tolist() == []


def test_torchvision_computes_it_whatever_was_installed() -> None:
    boxes_N4 = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]])
    scores_N, label_N = torch.tensor([0.6, 0.9, 0.1]), torch.tensor([0, 0, 0])
    found = torchvision().ops.boxes.batched_nms(boxes_N4, scores_N, label_N, 0.5)
    assert found.tolist() == [1, 2]
