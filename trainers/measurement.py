"""What a network makes of a whole split: accuracies, loss, calibration, and which classes it takes for which.

Shapes: B batch, K classes, N calibration bins, V all values that are summed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainers.data.images import Images
from trainers.evaluation import for_each_batch, sum_over_processes

# Of the confidences, of equal width, as in arXiv 1706.04599.
CALIBRATION_BINS = 15
TOP = 5
# Losses and confidences count in whole multiples of this, which double precision adds up exactly in any order.
_QUANTUM = 2.0**-32


@dataclass(frozen=True, slots=True)
class Measurement:
    """The counts of a split, and what follows from them.

    `confusion_KK` counts the images of each true class (rows) that are taken for each class (columns). `bins_N3` has,
    for each range of confidence, its images, those of them that are right, and the sum of their confidences. `top_hits`
    counts the images whose class is among the five most probable. `loss` is the mean cross-entropy.
    """

    confusion_KK: Tensor
    bins_N3: Tensor
    top_hits: int
    loss: float

    @property
    def images(self) -> int:
        return int(self.confusion_KK.sum())

    @property
    def accuracy(self) -> float:
        return int(self.confusion_KK.diagonal().sum()) / self.images

    @property
    def top5_accuracy(self) -> float | None:
        """The share of images whose class is among the five most probable; None of five classes or fewer."""
        return self.top_hits / self.images if len(self.confusion_KK) > TOP else None

    @property
    def calibration_error(self) -> float:
        """The expected calibration error: how far confidence and accuracy lie apart, on average over the images."""
        images_N, right_N, confidence_N = self.bins_N3.unbind(1)
        return float((right_N - confidence_N).abs().sum() / images_N.sum())

    def to_json(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "top1_accuracy": self.accuracy,
            "top5_accuracy": self.top5_accuracy,
            "loss": self.loss,
            "calibration_error": self.calibration_error,
        }


def measure(
    model: nn.Module,
    data: Images,
    classes: int,
    device: torch.device | str,
    batch_size: int,
    *,
    precision: str = "float32",
    rank: int = 0,
    world_size: int = 1,
    between_batches: Callable[[], None] = lambda: None,
) -> Measurement:
    """Measures `model` in evaluation mode, whose own mode is restored, on a split with so many classes.

    Of several processes each takes every `world_size`-th image with equal weights, and all get the same result: sums
    are exact, so that it does not depend on their number, as far as the logits do not. `between_batches` is called
    equally often in each of them; what it raises ends the measurement.
    """
    device = torch.device(device)
    confusion = torch.zeros(classes * classes, dtype=torch.float64, device=device)
    bins = torch.zeros(CALIBRATION_BINS * 3, dtype=torch.float64, device=device)
    totals = torch.zeros(2, dtype=torch.float64, device=device)

    def take(logits_BK: Tensor, labels_B: Tensor) -> None:
        logits_BK = logits_BK.double()
        guess_B = logits_BK.argmax(1)
        right_B = guess_B == labels_B
        confusion.add_(torch.bincount(labels_B * classes + guess_B, minlength=classes * classes))
        confidence_B = logits_BK.softmax(1).amax(1)
        # The bins are open below and closed above.
        bin_B = (confidence_B * CALIBRATION_BINS).ceil().long().sub_(1).clamp_(0, CALIBRATION_BINS - 1)
        values_B3 = torch.stack((torch.ones_like(confidence_B), right_B.double(), _rounded(confidence_B)), 1)
        bins.view(-1, 3).index_add_(0, bin_B, values_B3)
        own_B1 = logits_BK.gather(1, labels_B[:, None])
        # Of equal logits the guess is the first of five, whichever it is.
        is_among_B = ((logits_BK > own_B1).sum(1) < TOP) | right_B
        totals[0] += is_among_B.sum()
        totals[1] += _rounded(F.cross_entropy(logits_BK, labels_B, reduction="none")).sum()

    for_each_batch(
        take, model, data, device, batch_size,
        precision=precision, rank=rank, world_size=world_size, between_batches=between_batches,
    )  # fmt: skip
    sums_V = sum_over_processes(torch.cat((confusion, bins, totals)), world_size).cpu()
    confusion_V, bins_V, (top_hits, loss) = sums_V.split((len(confusion), len(bins), 2))
    confusion_KK = confusion_V.long().view(classes, classes)
    return Measurement(confusion_KK, bins_V.view(-1, 3), int(top_hits), float(loss) / int(confusion_KK.sum()))


def _rounded(values: Tensor) -> Tensor:
    return (values / _QUANTUM).round() * _QUANTUM
