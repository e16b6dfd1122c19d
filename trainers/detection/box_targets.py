"""What a detector is to find on the images of a batch.

Shapes: B batch, C channels, H height, W width, N boxes of an image, each (left, top, right, bottom) in pixels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class BoxTargets:
    """The boxes of each image, (N, 4), and their labels, (N). `seed` is of what a detector draws in its loss."""

    boxes: tuple[Tensor, ...]
    labels: tuple[Tensor, ...]
    seed: int

    def __len__(self) -> int:
        return len(self.boxes)

    def chunk(self, parts: int) -> list["BoxTargets"]:
        """The same in parts, as `Tensor.chunk` makes them of the images."""
        size = -(-len(self) // parts)
        return [
            BoxTargets(self.boxes[start : start + size], self.labels[start : start + size], self.seed + start)
            for start in range(0, len(self), size)
        ]

    def loss_of(self, network: nn.Module, images_BCHW: Tensor, label_smoothing: float) -> Tensor:
        """The sum of a detector's losses, each the mean over these images. Torch's random state stays as it was."""
        assert not label_smoothing, "a detector's recipe has none"
        targets = [{"boxes": boxes, "labels": labels} for boxes, labels in zip(self.boxes, self.labels, strict=True)]
        devices = [images_BCHW.device] if images_BCHW.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            # Faster R-CNN draws which proposals it learns from.
            torch.manual_seed(self.seed)
            losses = network(images_BCHW, targets)
        return torch.stack(list(losses.values())).sum()
