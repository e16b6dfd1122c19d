"""What a network is to say of the images of a batch: their labels, or two labels of each and the share of the first.

Shapes: B batch, C channels, H height, W width, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn
from torch.nn import functional as F


class BatchTargets(Protocol):
    """What a network is to say of the images of a batch, whatever that is."""

    def __len__(self) -> int: ...

    def chunk(self, parts: int) -> "Sequence[BatchTargets]":
        """The same in parts, as `Tensor.chunk` makes them of the images."""
        ...

    def loss_of(self, network: nn.Module, images_BCHW: Tensor, label_smoothing: float) -> Tensor:
        """The mean loss of what a network makes of these images."""
        ...


@dataclass(frozen=True, slots=True)
class Targets:
    """`share_B` of an image is what its label says, the rest what that of the image says that it is mixed with.

    Without `other_B` and `share_B` nothing is mixed.
    """

    label_B: Tensor
    other_B: Tensor | None = None
    share_B: Tensor | None = None

    def __len__(self) -> int:
        return len(self.label_B)

    def chunk(self, parts: int) -> list["Targets"]:
        """The same in parts, as `Tensor.chunk` makes them of the images."""
        label_parts = self.label_B.chunk(parts)
        if self.other_B is None or self.share_B is None:
            return [Targets(label) for label in label_parts]
        rest = (label_parts, self.other_B.chunk(parts), self.share_B.chunk(parts))
        return [Targets(*part) for part in zip(*rest, strict=True)]

    def loss_of(self, network: nn.Module, images_BCHW: Tensor, label_smoothing: float) -> Tensor:
        return self.loss(network(images_BCHW), label_smoothing)

    def loss(self, logits_BK: Tensor, label_smoothing: float) -> Tensor:
        """The mean cross-entropy: that of the labels as they are mixed."""
        if self.other_B is None or self.share_B is None:
            return F.cross_entropy(logits_BK, self.label_B, label_smoothing=label_smoothing)
        own_B, other_B = (
            F.cross_entropy(logits_BK, label_B, label_smoothing=label_smoothing, reduction="none")
            for label_B in (self.label_B, self.other_B)
        )
        return (self.share_B * own_B + (1 - self.share_B) * other_B).mean()
