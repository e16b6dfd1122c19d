"""`trainers/train.py BUNDLE --init weights`: a training that goes on from a bundle's weights."""

from pathlib import Path

import pytest
import torch

from tests.support.bundles import provenance
from tests.support.images import folder_config, make_images
from tests.support.shards import picture, write_shard
from tests.support.tiny_training import RECIPE, TINY
from trainers.bundle.contents import Bundle
from trainers.bundle.document import read_bundle
from trainers.bundle.files import read_weights, write_bundle
from trainers.data.datasets import examine_data
from trainers.model import seeded_model
from trainers.predict import main as predict
from trainers.train import main

# So slow that what was learned before is still there afterwards.
SLOWLY = ("recipe.epochs=1", "recipe.warmup_epochs=0", "recipe.batch_size=8", "recipe.learning_rate=1e-9")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a network that knows cats and dogs of 16 pixels."""
    directory = tmp_path_factory.mktemp("tuning")
    config = folder_config(make_images(directory / "pets", count=12))
    data = examine_data(config)
    found = Bundle(TINY, RECIPE, config, data.summary, provenance(), data.fingerprint)
    write_bundle(directory / "bundle", found.described(), seeded_model(TINY, data.summary, 7).state_dict())
    return directory / "bundle"


def assert_kept(bundle: Path, trained: Path, *, classifier: bool) -> None:
    before, after = read_weights(bundle), read_weights(trained)
    # Batch norm's statistics follow the images.
    for name in (name for name in before if "running" not in name and "tracked" not in name):
        kept = before[name].shape == after[name].shape and torch.allclose(before[name], after[name], atol=1e-5)
        assert kept == (classifier or not name.startswith("head.")), name


def test_on_the_same_classes_everything_is_kept(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(bundle), "--init", "weights", *SLOWLY, "--out", str(tmp_path / "out")]) == 0
    output = capsys.readouterr().out
    assert "weights  those of the bundle, with its classifier: its classes are the same" in output
    assert "recipe   the bundle's at a tenth of its learning rate with changes" in output
    assert_kept(bundle, tmp_path / "out" / "bundle", classifier=True)
    # Asked for from scratch, that is another training.
    assert main([str(bundle), *SLOWLY, "--out", str(tmp_path / "out")]) == 2
    assert "holds another training (initial_weights is '" in capsys.readouterr().err


def test_on_other_classes_the_classifier_is_made_anew(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = make_images(tmp_path / "birds", classes=("crow", "owl", "wren"), count=12)
    monkeypatch.chdir(tmp_path)
    assert main([str(bundle), "--init", "weights", "data=image_folder", f"data.root={images}", *SLOWLY]) == 0
    output = capsys.readouterr().out
    assert "but for its classifier: made anew for 3 classes, the bundle's were 2 others" in output
    trained = bundle.with_name("bundle-tuned") / "bundle"
    assert_kept(bundle, trained, classifier=False)
    assert read_bundle(trained).classes == ("crow", "owl", "wren")
    assert "began with the weights of another bundle" in (trained / "README.md").read_text(encoding="utf-8")
    assert predict([str(trained), str(images / "owl" / "0.png")]) == 0
    assert set(capsys.readouterr().out.rpartition(": ")[2].replace(",", "").split()[::2]) == {"crow", "owl", "wren"}


def test_on_the_same_classes_in_another_order_each_keeps_its_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = folder_config(make_images(tmp_path / "folders", classes=("1", "10", "2"), count=12))
    data = examine_data(config)
    found = Bundle(TINY, RECIPE, config, data.summary, provenance(), data.fingerprint)
    write_bundle(tmp_path / "bundle", found.described(), seeded_model(TINY, data.summary, 7).state_dict())
    members = {f"{number}.png": picture(number) for number in range(36)}
    labels = {f"{number}.cls": (b"10", b"2", b"1")[number % 3] for number in range(36)}
    write_shard(tmp_path / "shards" / "train-000.tar", members | labels)
    tuned = ("data=tar_shards", f"data.root={tmp_path / 'shards'}", *SLOWLY, "--out", str(tmp_path / "out"))
    assert main([str(tmp_path / "bundle"), "--init", "weights", *tuned]) == 0
    assert (
        "weights  those of the bundle, with its classifier: its classes are the same in another order, into which "
        "its rows are put\n"
    ) in capsys.readouterr().out
    trained = tmp_path / "out" / "bundle"
    assert read_bundle(tmp_path / "bundle").classes == ("1", "10", "2")
    assert read_bundle(trained).classes == ("1", "2", "10")
    before, after = read_weights(tmp_path / "bundle"), read_weights(trained)
    for name in ("head.weight", "head.bias"):
        torch.testing.assert_close(after[name], before[name][[0, 2, 1]], rtol=0, atol=1e-5)


def test_without_a_rate_of_its_own_it_learns_at_a_tenth(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(bundle), "--init", "weights", "recipe.epochs=1", "--out", str(tmp_path / "out")]) == 0
    assert f"learning rate {RECIPE.learning_rate / 10:g}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{bundle}", "--init", "weight"], "unknown --init 'weight': expected one of scratch, weights"),
        (["{bundle}", "--init", "weights", "data=digits"], "takes images of 3 channels, and those of 'digits' have 1"),
        (["{bundle}", "--init", "weights", "data.image_size=64"], "has another stem than the bundle's, for 16"),
        (["{weightless}", "--init", "weights"], "holds no weights"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_created(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    write_bundle(tmp_path / "weightless", read_bundle(bundle), None)
    filled = [argument.format(bundle=bundle, weightless=tmp_path / "weightless") for argument in arguments]
    assert main([*filled, "--out", str(tmp_path / "out")]) == 2
    written, errors = capsys.readouterr()
    assert written == "" and errors.startswith("error: ") and message in errors and errors.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["weightless"]
