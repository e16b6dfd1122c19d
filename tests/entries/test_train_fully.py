"""The best of a front and the anchors, trained fully by one command and shown beside the front."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from nas.train_fully import main
from tests.support.exported_search import finished_search
from trainers.bundle.document import read_bundle

# The front of that search is trials 1, 0 and 3; trial 0 is its one anchor, and the weights of trial 2 are gone.
QUICK = ("recipe.epochs=1", "recipe.warmup_epochs=0", "recipe.batch_size=256", "data.image_size=8", "--device", "cpu")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory, ledger = finished_search(tmp_path_factory.mktemp("runs"))
    assert [record.number for record in ledger.records if record.anchor] == [0]
    # A full training starts from scratch and needs no weights.
    for path in directory.path.glob("checkpoints/*/*"):
        path.unlink()
    return directory.runs


def train_fully(runs: Path, *arguments: str) -> int:
    return main(["found", "--runs-dir", str(runs), *arguments])


def test_the_best_and_the_anchors_are_trained_once_and_shown_beside_the_front(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert train_fully(runs, *QUICK) == 0
    output = capsys.readouterr().out
    full = runs / "found" / "full"
    assert sorted(path.name for path in full.iterdir()) == ["0000", "0003"]
    front, _, table = output.partition("the front, after the 2 epochs of the search")[2].partition("fully trained: ")
    assert [line.split()[0] for line in front.splitlines() if re.match(r" +\d+  ", line)] == ["1", "0", "3"]
    assert table.startswith("1 epochs from scratch on digits, one seed")
    rows = [line.split() for line in table.splitlines() if "←" in line]
    for row, number, role, accuracy in zip(rows, (3, 0), ("accurate", "anchor"), ("95.00%", "90.00%"), strict=True):
        result = json.loads((full / f"{number:04d}" / "result.json").read_text(encoding="utf-8"))
        shown = [str(number), accuracy, f"{result['val_accuracy']:.2%}", f"{result['test_accuracy']:.2%}"]
        assert row[:4] == shown and row[-1] == role and result["epochs"] == 1
        assert read_bundle(full / f"{number:04d}" / "bundle").provenance.to_json()["pick"] == f"trial={number}"
    capsys.readouterr()
    assert train_fully(runs, *QUICK) == 0
    again = capsys.readouterr().out
    assert "epoch 1/1" not in again and again.partition("fully trained: ")[2] == table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["recipe.epoch=1"], "Did you mean 'recipe.epochs'"),
        (["--device", "gpu"], "--device is 'gpu': expected auto, cpu, cuda or cuda:N"),
        (["--devise", "cpu"], "Did you mean '--device'"),
        (["recipe.epochs=7"], "name another directory with --out"),
    ],
)
def test_a_mistake_is_one_line(
    runs: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "found" / "full" / "0000").mkdir(parents=True, exist_ok=True)
    (runs / "found" / "full" / "0000" / "other").touch()
    assert train_fully(runs, *arguments) == 2
    output, error = capsys.readouterr()
    assert output == "" and error.startswith("error: ") and error.count("\n") == 1 and message in error


def test_it_is_not_for_torchrun(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert train_fully(runs, *QUICK) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and "trainers/train.py" in error
    monkeypatch.setenv("RANK", "1")
    assert train_fully(runs, *QUICK) == 2 and capsys.readouterr().err == ""
