"""A full training on folders with images that cannot be read: counted, and of an evaluation left out."""

import dataclasses
import json
from pathlib import Path

import pytest

from tests.support.bundles import provenance
from tests.support.images import folder_config, make_images
from tests.support.tiny_training import RECIPE, TINY
from trainers.bundle.contents import Bundle
from trainers.bundle.files import write_bundle
from trainers.data.datasets import check_data
from trainers.model import seeded_model
from trainers.train import main


def test_images_that_cannot_be_read_are_counted_and_evaluations_do_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    for split in ("train", "val", "test"):
        make_images(images / split, count=50, size=(10, 10))
        (images / split / "dog" / "7.png").write_bytes(b"no image")
    data = folder_config(images, image_size=8, loader_workers=0)
    bundle = Bundle(TINY, dataclasses.replace(RECIPE, epochs=1), data, check_data(data), provenance(trial=42))
    write_bundle(tmp_path / "knee", bundle, seeded_model(TINY, bundle.data_summary, 7).state_dict())
    assert main([str(tmp_path / "knee"), "--device", "cpu"]) == 0
    words = capsys.readouterr().out
    assert (
        "images   3 could not be read: 1 train, in whose place others stood; 1 validation and 1 test, left out\n"
        in words
    )
    result = json.loads((tmp_path / "knee-trained" / "result.json").read_bytes())
    assert result["unreadable_images"] == {"train": 1, "validation": 1, "test": 1}
    # Of 99 images, not of 100.
    assert result["test_accuracy"] * 99 == pytest.approx(round(result["test_accuracy"] * 99), abs=1e-9)
    assert result["test_accuracy"] * 100 != pytest.approx(round(result["test_accuracy"] * 100), abs=1e-9)
