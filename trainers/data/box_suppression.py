"""Non-maximum suppression in NumPy, for where torchvision's own cannot be loaded.

Shapes: N boxes, each (left, top, right, bottom).
"""

import numpy as np
import torch
from torch import Tensor


def suppressed(boxes_N4: Tensor, scores_N: Tensor, iou_threshold: float) -> Tensor:
    """The indices of the boxes that stay, the best first: none overlaps a better one that stays by more than that.

    As `torchvision.ops.nms`, by the intersection over the union.
    """
    order_N = scores_N.detach().argsort(descending=True, stable=True)
    boxes = boxes_N4.detach()[order_N].float().cpu().numpy()
    area_N = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    stays_N = np.ones(len(boxes), dtype=bool)
    for index in range(len(boxes)):
        if not stays_N[index]:
            continue
        rest = boxes[index + 1 :]
        width = np.minimum(boxes[index, 2], rest[:, 2]) - np.maximum(boxes[index, 0], rest[:, 0])
        height = np.minimum(boxes[index, 3], rest[:, 3]) - np.maximum(boxes[index, 1], rest[:, 1])
        common = width.clip(0) * height.clip(0)
        stays_N[index + 1 :] &= common <= iou_threshold * (area_N[index] + area_N[index + 1 :] - common)
    return order_N[torch.from_numpy(np.flatnonzero(stays_N)).to(order_N.device)]
