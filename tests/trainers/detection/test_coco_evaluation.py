"""COCO's numbers for what was found, against pycocotools' own way and by hand."""

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.support.coco_folders import coco_folder
from trainers.detection.coco_data import CocoConfig, CocoData, examine_coco
from trainers.detection.coco_evaluation import SCORES, coco_scores


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> CocoData:
    return examine_coco(CocoConfig(str(coco_folder(tmp_path_factory.mktemp("coco"), train=2, validation=6))))


def found(data: CocoData, shift: float = 0.0) -> list[dict[str, Any]]:
    return [
        {
            "image_id": each["image_id"],
            "category_id": each["category_id"],
            "bbox": [each["bbox"][0] + shift * number, *each["bbox"][1:]],
            "score": 1 - number / 10,
        }
        for number, each in enumerate(data.truth)
    ]


def test_what_is_found_exactly_has_a_precision_of_1_and_nothing_0(data: CocoData) -> None:
    scores = coco_scores(data, found(data))
    assert scores.scores["AP"] == pytest.approx(1) and scores.class_precisions == pytest.approx((1, 1))
    assert scores.scores["AP_large"] is None
    assert coco_scores(data, []).scores["AP"] == 0


def test_numbers_are_those_of_pycocotools_from_files(data: CocoData, tmp_path: Path) -> None:
    answers = found(data, shift=1.7)
    path = next(Path(data.validation[0].file).parents[1].glob("annotations/instances_val*"))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        evaluation = COCOeval(truth, truth.loadRes([dict(each) for each in answers]), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    scores = coco_scores(data, answers).scores
    assert 0.2 < (scores["AP"] or 0) < 0.9
    assert [-1 if scores[name] is None else scores[name] for name in SCORES] == evaluation.stats.tolist()
