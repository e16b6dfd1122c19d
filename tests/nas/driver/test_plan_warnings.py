"""What a plan says of a recipe that cannot be followed as it is written, by the rule of full trainings."""

import pytest

from nas.search import main

PLAN = ["--space", "resnet_stages", "data=digits", "--plan", "training.epochs=3"]


def test_a_warm_up_that_is_longer_than_the_trials_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PLAN, "training.warmup_epochs=3"]) == 0
    assert "warm-up" not in capsys.readouterr().out
    assert main([*PLAN, "training.warmup_epochs=6"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "warning: a warm-up of 6 epochs is not over after 3: the learning rate gets no higher than 0.025" in said
