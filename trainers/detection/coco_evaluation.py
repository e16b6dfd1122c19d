"""Evaluating a detector: its loss, and COCO's mean average precision by pycocotools.

Shapes: B batch, N detections of an image.
"""

import contextlib
import io
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainers.detection.coco_data import CocoData
from trainers.detection.coco_images import CocoImages, placement
from trainers.evaluation import autocast, evaluation_shares, sum_over_processes

# COCO's twelve numbers in pycocotools' order: average precision and average recall, over ten thresholds of overlap but
# for AP50 and AP75; of objects of any size, or of up to 32² pixels, up to 96², and more; of 100 detections, or as many.
SCORES = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large",
          "AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large")  # fmt: skip


@dataclass(frozen=True, slots=True)
class CocoScores:
    """COCO's numbers by `SCORES`, 0 to 1, None of sizes that no object has, and the AP of each class, in order."""

    scores: dict[str, float | None]
    class_precisions: tuple[float | None, ...]

    def to_json(self) -> dict[str, Any]:
        return dict(self.scores)


@dataclass(frozen=True, slots=True)
class CocoEvaluation:
    """The evaluation of a detector on the validation images of `data`, as a `trainers.loop.Training` calls it."""

    data: CocoData

    def __call__(
        self,
        model: nn.Module,
        images: CocoImages,
        device: torch.device,
        batch_size: int,
        *,
        precision: str,
        rank: int,
        world_size: int,
        between_batches: Callable[[], None],
        begun: Iterator[tuple[Tensor, Any]] | None = None,
    ) -> tuple[float, float]:
        """(loss, mean average precision) of a detector. The same in all processes, each of which takes a share."""
        loss, scores = self.measure(
            model, images, device, batch_size,
            precision=precision, rank=rank, world_size=world_size, between_batches=between_batches, begun=begun,
        )  # fmt: skip
        precision_found = scores.scores["AP"]
        assert precision_found is not None, "there are boxes to find"
        return loss, precision_found

    def measure(
        self,
        model: nn.Module,
        images: CocoImages,
        device: torch.device,
        batch_size: int,
        *,
        precision: str,
        rank: int,
        world_size: int,
        between_batches: Callable[[], None],
        begun: Iterator[tuple[Tensor, Any]] | None = None,
    ) -> tuple[float, CocoScores]:
        """The mean loss on these images, and all of COCO's numbers. `begun` is as in `trainers.evaluation.evaluate`."""
        parts = evaluation_shares(len(images), batch_size, rank, world_size)
        read = images.batches(parts, device) if begun is None else begun
        sums = torch.zeros(2, dtype=torch.float64, device=device)
        found: list[dict[str, Any]] = []
        was_training = model.training
        try:
            with torch.inference_mode(), autocast(device, precision):
                batches = iter(zip(parts, read, strict=True))
                for _ in range(math.ceil(math.ceil(len(images) / world_size) / batch_size)):
                    for index_B, (images_BCHW, targets) in itertools.islice(batches, 1):
                        with _giving_losses(model):
                            sums[0] += targets.loss_of(model, images_BCHW, 0.0) * len(targets)
                        sums[1] += len(targets)
                        for index, detections in zip(index_B.tolist(), model(images_BCHW), strict=True):
                            found += self._in_image(images, index, detections)
                    between_batches()
        finally:
            model.train(was_training)
        loss, count = sum_over_processes(sums, world_size).tolist()
        return loss / count, self._scores(found, rank, world_size)

    def _in_image(self, images: CocoImages, index: int, detections: dict[str, Tensor]) -> list[dict[str, Any]]:
        """What was found in an image, in its own pixels and COCO's form."""
        image = images.images[index]
        place = placement(image, images.image_size, None, index)
        width, height = image.annotated.width, image.annotated.height
        scale_4 = np.array([width / place.width, height / place.height] * 2)
        boxes_N4 = (detections["boxes"].float().cpu().numpy() * scale_4).clip(0, [width, height] * 2)
        rows = zip(boxes_N4.tolist(), detections["scores"].tolist(), detections["labels"].tolist(), strict=True)
        return [
            {
                "image_id": image.annotated.id,
                "category_id": self.data.category_ids[label - images.first_label],
                "bbox": [left, top, right - left, bottom - top],
                "score": score,
            }
            for (left, top, right, bottom), score, label in rows
        ]

    def _scores(self, found: list[dict[str, Any]], rank: int, world_size: int) -> CocoScores:
        gathered: list[list[dict[str, Any]]] = [found] * world_size
        if world_size > 1:
            torch.distributed.all_gather_object(gathered, found)
        scores = [coco_scores(self.data, list(itertools.chain(*gathered))) if rank == 0 else None]
        if world_size > 1:
            torch.distributed.broadcast_object_list(scores, 0, device=torch.device("cpu"))
        [result] = scores
        assert result is not None
        return result


def coco_scores(data: CocoData, found: Sequence[dict[str, Any]]) -> CocoScores:
    """COCO's numbers of what was found on the validation images."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    sections = {
        "images": [{"id": image.annotated.id} for image in data.validation],
        "categories": [
            {"id": category, "name": name} for category, name in zip(data.category_ids, data.classes, strict=True)
        ],
    }
    # Its own reader of results fails where nothing was found.
    results = [
        each | {"id": number, "area": each["bbox"][2] * each["bbox"][3], "iscrowd": 0}
        for number, each in enumerate(sorted(found, key=lambda each: each["image_id"]), 1)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        # The evaluation writes into what it is given.
        truth, answers = COCO(), COCO()
        truth.dataset = sections | {"annotations": [dict(each) for each in data.truth]}
        answers.dataset = sections | {"annotations": results}
        for each in (truth, answers):
            each.createIndex()
        evaluation = COCOeval(truth, answers, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    # Thresholds of overlap, recalls, classes, sizes of objects, numbers of detections.
    precisions = evaluation.eval["precision"][:, :, :, 0, -1]
    classes = [precisions[:, :, index] for index in range(len(data.category_ids))]
    return CocoScores(
        dict(zip(SCORES, map(_known, evaluation.stats), strict=True)),
        tuple(_known(each[each > -1].mean()) if (each > -1).any() else None for each in classes),
    )


def _known(value: Any) -> float | None:
    """pycocotools says -1 where there is nothing to find."""
    return None if value < 0 else float(value)


@contextlib.contextmanager
def _giving_losses(model: nn.Module) -> Iterator[None]:
    """While it lasts the detector gives its losses, as in training, with batch norm as in an evaluation."""
    model.eval()
    parts = [model, *(part for name, part in model.named_children() if name in ("rpn", "roi_heads"))]
    for part in parts:
        part.training = True
    try:
        yield
    finally:
        model.eval()
