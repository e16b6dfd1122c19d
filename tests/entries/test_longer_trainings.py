"""Trainings that are made longer on purpose: ended or under way, interrupted since, and refused without a word."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from search_spaces.errors import UserError
from tests.support.bundles import provenance
from tests.support.tiny_training import DATA, RECIPE, TINY
from trainers.bundle.contents import Bundle
from trainers.bundle.document import read_bundle
from trainers.bundle.files import read_weights, write_bundle
from trainers.checkpoint import newest_sound_checkpoint
from trainers.compare import main as compare
from trainers.data.datasets import check_data
from trainers.folders import Directory
from trainers.full import full_training
from trainers.full.plan import prepare
from trainers.full.train_settings import settings_of
from trainers.history import read_history
from trainers.schedule import learning_rate_at
from trainers.stopping import StopSignals
from trainers.train import main

SHORT = dataclasses.replace(RECIPE, epochs=2)
LONG = dataclasses.replace(RECIPE, epochs=4)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("longer") / "knee"
    write_bundle(directory, Bundle(TINY, SHORT, DATA, check_data(DATA), provenance(trial=42)), None)
    return directory


def train(bundle: Path, out: Path, *more: str) -> int:
    return main([str(bundle), "--device", "cpu", "--out", str(out), *more])


@pytest.fixture(scope="module")
def lengthened(bundle: Path) -> Path:
    """A training of two epochs that had ended and was made one of four."""
    out = bundle.with_name("lengthened")
    assert train(bundle, out) == 0
    assert train(bundle, out, "recipe.epochs=4", "--longer") == 0
    return out


def result_of(out: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((out / "result.json").read_bytes())
    return result


def test_a_training_that_has_ended_goes_on_with_the_learning_rate_of_more_epochs(
    bundle: Path, lengthened: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    epochs = read_history(lengthened / "history.csv")
    steps = check_data(DATA).train_images // SHORT.batch_size
    of = [SHORT, SHORT, LONG, LONG]
    assert [epoch.learning_rate for epoch in epochs] == [
        learning_rate_at(recipe, number * steps - 1, steps) for number, recipe in enumerate(of, 1)
    ]
    assert epochs[2].learning_rate > epochs[1].learning_rate
    result = result_of(lengthened)
    assert result["epochs"] == 4 and result["lengthened"] == [{"from_epochs": 2, "after_epoch": 2, "step": 0}]
    found = read_bundle(lengthened / "bundle")
    assert found.recipe == LONG and found.provenance.full_training == result
    card = (lengthened / "bundle" / "README.md").read_text(encoding="utf-8")
    assert "after the full training of 4 epochs, of 2 at first" in card
    # The same command, and the same without the flag, say what has come of it.
    for flags in (["--longer"], []):
        before = (lengthened / "result.json").stat().st_mtime_ns
        assert train(bundle, lengthened, "recipe.epochs=4", *flags) == 0
        assert "epoch 3/4" not in capsys.readouterr().out
        assert (lengthened / "result.json").stat().st_mtime_ns == before


def test_what_it_had_come_to_is_kept_and_compared_as_another_training(
    bundle: Path, lengthened: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = lengthened / "after-2-epochs"
    assert result_of(before)["epochs"] == 2 and len(read_history(before / "history.csv")) == 2
    assert read_bundle(before / "bundle").recipe == SHORT
    assert train(bundle, tmp_path / "anew", "recipe.epochs=4", "--seed", "1") == 0
    assert compare([str(lengthened), str(before), str(tmp_path / "anew")]) == 0
    table = (tmp_path / "comparison" / "comparison.csv").read_text(encoding="utf-8").splitlines()
    # One of four epochs from another seed is another training than one that was made so long.
    assert len(table) == 4


def test_one_under_way_is_made_longer_and_interrupted_goes_on_to_the_same_weights(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped_after(steps: int, out: Path, *more: str) -> None:
        """Ends the training as a signal does, after so many steps."""
        asked = iter(range(steps))
        with monkeypatch.context() as patched:
            patched.setattr(StopSignals, "requested", lambda self: next(asked, None) is None)
            assert train(bundle, out, *more) == 143

    longer = ["recipe.epochs=3", "--longer"]
    for name in ("undisturbed", "interrupted"):
        stopped_after(5, tmp_path / name)
    assert train(bundle, tmp_path / "undisturbed", *longer) == 0
    said = capsys.readouterr().out
    assert "made longer, from 2 epochs to 3: its learning rate is that of 3" in said
    out = tmp_path / "interrupted"
    stopped_after(0, out, *longer)
    # Between the decision and the first checkpoint after it, and then once more.
    stopped_after(2, out, *longer)
    assert train(bundle, out, "recipe.epochs=3") == 0
    first, second = (read_weights(each / "bundle") for each in (tmp_path / "undisturbed", out))
    assert all(torch.equal(first[name], second[name]) for name in first)
    [[one], [other]] = [result_of(each)["lengthened"] for each in (tmp_path / "undisturbed", out)]
    assert one == other and one["from_epochs"] == 2
    found = newest_sound_checkpoint(Directory(out / "checkpoints"))
    assert found is not None and found[0] == 3


def test_what_is_put_aside_half_is_put_aside_by_the_next_attempt(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert train(bundle, out) == 0

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device", str(out))

    with monkeypatch.context() as patched:
        patched.setattr(full_training, "write_json_atomically", full)
        assert train(bundle, out, "recipe.epochs=3", "--longer") == 1
    assert "No space left" in capsys.readouterr().err and not (out / "result.json").exists()
    # Left so it is a training of two epochs that ends once more.
    assert train(bundle, out) == 0 and result_of(out)["epochs"] == 2
    assert train(bundle, out, "recipe.epochs=3", "--longer") == 0
    assert result_of(out)["epochs"] == 3 and result_of(out / "after-2-epochs")["epochs"] == 2


def test_nobody_puts_aside_what_another_process_has_come_to_meanwhile(
    bundle: Path, lengthened: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(lengthened, tmp_path / "out"))
    plan = prepare(
        read_bundle(bundle), settings_of(read_bundle(bundle), ["recipe.epochs=6"], 0), out, "cpu", longer=True
    )
    assert train(bundle, out, "recipe.epochs=5", "--longer") == 0
    with pytest.raises(UserError, match=r"another process was training in .*out' until now: the same command"):
        full_training.run(plan)
    assert result_of(out)["epochs"] == 5 and result_of(out / "after-4-epochs")["epochs"] == 4
    # Nor does one begin where another has begun.
    plan = prepare(read_bundle(bundle), settings_of(read_bundle(bundle), [], 1), tmp_path / "new", "cpu")
    shutil.copytree(out, tmp_path / "new")
    with pytest.raises(UserError, match="another process was training"):
        full_training.run(plan)
    assert result_of(tmp_path / "new")["seed"] == 0 and result_of(tmp_path / "new")["epochs"] == 5


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["recipe.epochs=5"], "(recipe.epochs is 4 there and 5 here): the learning rate follows the number of epochs"),
        (["recipe.epochs=5"], "name another directory with --out, or go on with this one, as it is, by --longer."),
        (["recipe.epochs=3"], "so that a shorter training begins anew: name another directory with --out."),
        (["recipe.epochs=3", "--longer"], "has 4 epochs: expected recipe.epochs=N above."),
        (["recipe.epochs=5", "recipe.momentum=0.8", "--longer"], "recipe.momentum is 0.9 there and 0.8 here"),
        # Where more than the epochs is another, --longer is no way.
        (["recipe.epochs=5", "--seed", "1"], "(seed is 0 there and 1 here): name another directory with --out.\n"),
    ],
)
def test_whoever_does_not_mean_it_is_told(
    bundle: Path, lengthened: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert train(bundle, lengthened, *more) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert result_of(lengthened)["epochs"] == 4


def test_there_must_be_one_to_make_longer(
    bundle: Path, lengthened: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(bundle, tmp_path / "none", "recipe.epochs=5", "--longer") == 2
    assert "--longer goes on with a training, and there is none in" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    out = tmp_path / "bare"
    shutil.copytree(lengthened, out)
    shutil.rmtree(out / "checkpoints")
    assert train(bundle, out, "recipe.epochs=5", "--longer") == 2
    assert "no checkpoint is left" in capsys.readouterr().err and result_of(out)["epochs"] == 4
    (out / "settings.json").write_text('{"format": "full-training/2"}')
    assert train(bundle, out, "recipe.epochs=5", "--longer") == 2
    assert "holds no full training" in capsys.readouterr().err
