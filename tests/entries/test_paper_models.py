"""Models of the paper as bundles, by name: baselines that are trained by the very same recipe."""

from pathlib import Path

import pytest

from nas.export import main
from search_spaces.paper_models import ARCHITECTURES
from tests.support.exported_search import finished_search
from tests.support.images import make_images
from trainers.bundle.document import read_bundle
from trainers.bundle.provenance import PaperProvenance
from trainers.recipe_files import full_training
from trainers.train import main as train


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_model_of_the_paper_becomes_a_bundle_for_imagenet_by_its_name(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--paper", "resnet50-attention"]) == 0
    # The FLOPs and parameters of the paper's table 1: 7.2 billion and 18.0 million.
    output = capsys.readouterr().out
    assert "7.18 GFLOPs at 224 pixels, 18,031,592 parameters" in output and "data.root=DIR" in output
    bundle = read_bundle(here / "bundles" / "resnet50-attention")
    assert bundle.architecture == ARCHITECTURES["resnet50-attention"] and bundle.recipe == full_training("imagenet")
    assert isinstance(bundle.provenance, PaperProvenance) and bundle.provenance.paper_model == "resnet50-attention"
    assert (bundle.data_summary.classes, bundle.data_summary.test_images) == (1000, 50_000)
    card = (here / "bundles" / "resnet50-attention" / "README.md").read_text(encoding="utf-8")
    assert "1906.05909" in card and "It has no weights yet" in card and "chose the architecture" not in card


def test_it_is_made_for_the_images_of_a_search_or_for_others_and_trains(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, ledger = finished_search(here / "runs")
    assert main(["found", "--paper", "resnet26", "recipe.epochs=7"]) == 0
    bundle = read_bundle(here / "bundles" / "found-resnet26")
    header = ledger.header
    assert (bundle.data, bundle.data_summary) == (header.data, header.data_summary)
    assert bundle.data_fingerprint == header.data_fingerprint and bundle.recipe.epochs == 7

    make_images(here / "images", count=20)
    assert main(["data=image_folder", "--paper", "resnet26", f"data.root={here / 'images'}", "--out", "folder"]) == 0
    bundle = read_bundle(here / "folder")
    assert bundle.recipe == full_training("image_folder") and bundle.class_names is not None
    assert bundle.data_summary.classes == 2 and bundle.data_fingerprint is not None
    assert main(["--paper", "resnet38", "data=cifar10", "--out", "cifar"]) == 0
    assert read_bundle(here / "cifar").data_summary.train_images == 45_000 and not (here / "data").exists()

    capsys.readouterr()
    settings = ["recipe.epochs=1", "recipe.batch_size=512", "recipe.warmup_epochs=0", "data.image_size=8"]
    assert main(["--paper", "resnet26", "data=digits", *settings, "--out", "digits"]) == 0
    assert train(["digits", "--device", "cpu"]) == 0
    trained = read_bundle(here / "digits-trained" / "bundle").provenance
    assert isinstance(trained, PaperProvenance) and trained.full_training is not None
    card = (here / "digits-trained" / "bundle" / "README.md").read_text(encoding="utf-8")
    assert "The weights are those of its full training." in card


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--paper", "resnet50-atention"], "Did you mean 'resnet50-attention'"),
        (["--paper", "resnet26", "--list"], "leave out --list and --pick"),
        (["--paper", "resnet26", "--onnx"], "not trained yet"),
        (["--paper", "resnet26", "data=digit"], "Did you mean 'digits'"),
        (["--paper", "resnet26", "data=image_folder", "data.root=nowhere"], "there is no directory"),
        (["found", "--paper", "resnet26"], "found"),
        (["one", "two", "--paper", "resnet26"], "unexpected argument 'two'"),
        (["found", "--pick", "knee", "recipe.epochs=3"], "settings are for --paper"),
        (["--pick", "knee"], "NAME is missing"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    here: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    output, error = capsys.readouterr()
    assert output == "" and error.startswith("error: ") and error.count("\n") == 1 and message in error
    assert list(here.iterdir()) == []
