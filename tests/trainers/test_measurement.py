"""What a network makes of a split, against plain loops over its images."""

import math

import pytest
import torch
from torch import Tensor, nn

from trainers.data.images import MemoryImages
from trainers.measurement import Measurement, measure

CLASSES, IMAGES = 7, 203


class Looked(nn.Module):
    """A network whose logits for an image are those of a table, by the value of its first pixel."""

    def __init__(self, logits_IK: Tensor) -> None:
        super().__init__()
        self.logits_IK = logits_IK

    def forward(self, images_BCHW: Tensor) -> Tensor:
        return self.logits_IK[images_BCHW[:, 0, 0, 0].round().long()]


@pytest.fixture(scope="module")
def logits_and_labels() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels_I = torch.randint(0, CLASSES, (IMAGES,), generator=generator)
    logits_IK = 1.5 * torch.randn(IMAGES, CLASSES, generator=generator)
    logits_IK[torch.arange(IMAGES), labels_I] += 1.5
    return logits_IK, labels_I


def split(labels_I: Tensor) -> MemoryImages:
    """Images of 1 pixel, each of its own number."""
    numbers = torch.arange(IMAGES, dtype=torch.uint8)[:, None, None, None]
    return MemoryImages(numbers, labels_I, image_size=1, mean=(0.0,), std=(1 / 255,))


def measured(logits_IK: Tensor, labels_I: Tensor, batch_size: int) -> Measurement:
    return measure(Looked(logits_IK), split(labels_I), CLASSES, "cpu", batch_size)


def test_every_number_is_that_of_a_plain_loop(logits_and_labels: tuple[Tensor, Tensor]) -> None:
    logits_IK, labels_I = logits_and_labels
    found = measured(logits_IK, labels_I, 32)
    confusion = [[0] * CLASSES for _ in range(CLASSES)]
    bins: dict[int, list[tuple[float, bool]]] = {}
    right = among_five = 0
    loss = 0.0
    for logits, label in zip(logits_IK.double().tolist(), labels_I.tolist(), strict=True):
        exponentials = [math.exp(value) for value in logits]
        probabilities = [value / sum(exponentials) for value in exponentials]
        order = sorted(range(CLASSES), key=lambda index: -logits[index])
        confusion[label][order[0]] += 1
        right += order[0] == label
        among_five += label in order[:5]
        loss -= math.log(probabilities[label])
        confidence = max(probabilities)
        place = next(place for place in range(15) if place / 15 < confidence <= (place + 1) / 15)
        bins.setdefault(place, []).append((confidence, order[0] == label))
    error = 0.0
    for members in bins.values():
        accuracy = sum(hit for _, hit in members) / len(members)
        confidence = sum(each for each, _ in members) / len(members)
        error += len(members) / IMAGES * abs(accuracy - confidence)
    assert found.confusion_KK.tolist() == confusion and found.images == IMAGES
    assert found.accuracy == right / IMAGES and found.top5_accuracy == among_five / IMAGES
    assert found.loss == pytest.approx(loss / IMAGES, abs=1e-7)
    assert found.calibration_error == pytest.approx(error, abs=1e-7) and 0.02 < error < 0.5


def test_all_is_equal_to_the_bit_however_the_images_lie_in_batches(logits_and_labels: tuple[Tensor, Tensor]) -> None:
    """So that any number of processes comes to the same."""
    whole, parts = measured(*logits_and_labels, IMAGES), measured(*logits_and_labels, 7)
    assert whole.to_json() == parts.to_json() and torch.equal(whole.bins_N3, parts.bins_N3)


def test_of_five_classes_or_fewer_there_is_no_top_5() -> None:
    logits_IK = torch.eye(5).repeat(41, 1)[:IMAGES]
    labels_I = torch.arange(IMAGES) % 5
    found = measure(Looked(logits_IK), split(labels_I), 5, "cpu", 50)
    assert found.top5_accuracy is None and found.accuracy == 1
