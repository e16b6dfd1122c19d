"""Bundles from Python: what `trainers/predict.py` says of the same pictures."""

import json
from pathlib import Path

import pytest

import vision_architecture_search as vas
from tests.support.bundles import SUMMARY, provenance
from tests.support.images import make_images
from tests.support.tiny_training import DATA, RECIPE, TINY
from trainers.bundle.contents import Bundle
from trainers.bundle.files import write_bundle
from trainers.model import seeded_model
from trainers.predict import main as predict_command


def test_a_bundle_predicts_as_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = seeded_model(TINY, SUMMARY, 0).state_dict()
    write_bundle(tmp_path / "bundle", Bundle(TINY, RECIPE, DATA, SUMMARY, provenance()).described(), weights)
    image = make_images(tmp_path / "images", count=3) / "cat" / "0.png"
    bundle = vas.open_bundle(tmp_path / "bundle")
    assert predict_command([str(tmp_path / "bundle"), str(image), "--json"]) == 0
    [said] = json.loads(capsys.readouterr().out)
    [found, broken] = bundle.predict([image, tmp_path / "nothing.png"])
    assert found.to_json() == said and broken.problem is not None
    assert bundle.classes == tuple("0123456789") and bundle.preprocessing.size == 16
    assert bundle.architecture == TINY


def test_what_is_no_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(vas.UserError, match="is no bundle"):
        vas.open_bundle(tmp_path)
