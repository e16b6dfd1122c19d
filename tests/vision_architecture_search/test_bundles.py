"""Bundles from Python: what `trainers/predict.py` says of the same pictures."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

import vision_architecture_search as vas
from tests.support.bundles import SUMMARY, provenance
from tests.support.images import make_images
from tests.support.tiny_training import DATA, RECIPE, TINY
from trainers.bundle.contents import Bundle
from trainers.bundle.files import write_bundle
from trainers.model import seeded_model
from trainers.predict import main as predict_command


@pytest.fixture
def bundle(tmp_path: Path) -> vas.OpenBundle:
    weights = seeded_model(TINY, SUMMARY, 0).state_dict()
    write_bundle(tmp_path / "bundle", Bundle(TINY, RECIPE, DATA, SUMMARY, provenance()).described(), weights)
    return vas.open_bundle(tmp_path / "bundle")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return make_images(tmp_path / "images", count=3) / "cat" / "0.png"


def test_a_bundle_predicts_as_the_command(
    bundle: vas.OpenBundle, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict_command([str(tmp_path / "bundle"), str(image), "--json"]) == 0
    [said] = json.loads(capsys.readouterr().out)
    [found, broken] = bundle.predict([image, tmp_path / "nothing.png"])
    assert found.to_json() == said and broken.problem is not None
    assert bundle.classes == tuple("0123456789") and bundle.preprocessing.size == 16
    assert bundle.architecture == TINY


@pytest.mark.parametrize("value", [b"picture.png", None, 3, [b"picture.png"], [Path("a.png"), None], object()])
def test_what_is_no_path_is_refused(bundle: vas.OpenBundle, value: Any) -> None:
    with pytest.raises(vas.UserError, match=r"an image is of type '\w+': expected the path of a file, or several"):
        bundle.predict(value)


def test_what_is_no_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(vas.UserError, match="is no bundle"):
        vas.open_bundle(tmp_path)


def test_whatever_a_picture_is_called_the_others_have_their_answers(
    bundle: vas.OpenBundle, image: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    odd: list[str | Path] = ["", "a\0b.png", "\udcff.png", "x" * 5000, "~nobody-is-called-so/a.png"]
    odd += [tmp_path, tmp_path / "pipe.png"]
    found = bundle.predict([*odd, image])
    assert all(prediction.problem is not None and not prediction.guesses for prediction in found[:-1])
    assert [prediction.image for prediction in found] == [str(name) for name in (*odd, image)]
    assert found[-1] == bundle.predict(image)[0] == bundle.predict(str(image))[0]


def test_a_home_is_meant_by_a_tilde_and_what_is_open_stays_open(
    bundle: vas.OpenBundle, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (relative, at_home) = (vas.open_bundle(name) for name in ("bundle", "~/bundle"))
    monkeypatch.chdir("/")
    assert relative == at_home == bundle
    assert relative.predict(["~/images/cat/0.png"])[0].guesses == bundle.predict([image])[0].guesses
