"""Following a training: what is said where it is taken up."""

import dataclasses
from pathlib import Path

import pytest

from tests.support.tiny_training import DATA, RECIPE, TINY
from tests.trainers.test_resumable import ALONE
from trainers.data.datasets import check_data, load_train_validation
from trainers.folders import Directory
from trainers.full.following import followed
from trainers.loop import Training
from trainers.model import seeded_model
from trainers.resumable import Pauses, ResumableTraining

ONE_EPOCH = dataclasses.replace(RECIPE, epochs=1)


@pytest.mark.parametrize("taken_up", [True, False])
def test_what_was_left_before_its_first_step_ended_is_taken_up_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], taken_up: bool
) -> None:
    splits = load_train_validation(DATA)
    one, other = (
        Training(seeded_model(TINY, check_data(DATA), 1), *splits, ONE_EPOCH, seed=1, device="cpu") for _ in range(2)
    )
    if taken_up:
        other.load_state_dict(one.state_dict() | one.position())
    resumed = ResumableTraining(other, [], Directory(tmp_path / "checkpoints"), ALONE)
    history = tmp_path / "history.csv"
    next(followed(resumed, Pauses(1e9, lambda: False), history, lambda earlier: [], lambda result, left: "an epoch"))
    assert capsys.readouterr().out == ("resumes  after epoch 0\n" if taken_up else "") + "an epoch\n"
