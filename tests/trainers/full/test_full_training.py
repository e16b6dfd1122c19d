from pathlib import Path

import pytest

import trainers.full.full_training
from tests.support.bundles import provenance
from tests.support.tiny_training import DATA, ENOUGH_FOR, RECIPE, TINY, short_of_memory
from trainers.bundle.contents import Bundle
from trainers.bundle.files import write_bundle
from trainers.data.datasets import check_data
from trainers.model import seeded_model
from trainers.train import main


def test_a_full_training_is_split_too_and_says_when_that_does_not_suffice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = Bundle(TINY, RECIPE, DATA, check_data(DATA), provenance(trial=42))
    write_bundle(tmp_path / "knee", bundle, seeded_model(TINY, bundle.data_summary, 7).state_dict())
    make, failed = short_of_memory(ENOUGH_FOR)
    monkeypatch.setattr(trainers.full.full_training, "seeded_model", make)
    assert main([str(tmp_path / "knee"), "--device", "cpu"]) == 0
    assert failed == [256]
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")] == [
        "1/3", "2/3", "3/3",
    ]  # fmt: skip
    make, failed = short_of_memory(0)
    monkeypatch.setattr(trainers.full.full_training, "seeded_model", make)
    assert main([str(tmp_path / "knee"), "--device", "cpu", "--out", str(tmp_path / "other")]) == 1
    error = capsys.readouterr().err
    assert failed == [256, 128] and error.startswith("error: the GPU's memory does not suffice")
    assert error.count("\n") == 1
