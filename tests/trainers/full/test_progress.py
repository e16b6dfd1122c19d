"""What is said within an epoch, by a scripted clock and of real trainings."""

import itertools
import re

import pytest

from tests.support.tiny_training import DATA, RECIPE, TINY
from trainers.data.datasets import check_data, load_train_validation
from trainers.full.progress import Moment, Reporter, pace
from trainers.loop import Training
from trainers.model import seeded_model

LINE = re.compile(
    r"  +(\d+)/(\d+)  loss (\d+\.\d{4})  rate (\S+)  ([\d,]+) images/s  (\d+)% waiting  \d+\.\d GB  (.+) left"
)


def test_a_pace_is_of_the_time_between_and_what_is_left_of_all_the_time() -> None:
    began, before, now = Moment(10.0, 0, 0.0), Moment(40.0, 10, 2.0), Moment(60.0, 30, 7.0)
    found = pace(began, before, now, batch_size=64, steps_left=90)
    assert found.images_per_second == 20 * 64 / 20
    assert found.waiting == 5 / 20
    # 30 steps took 50 s, 90 take 150.
    assert found.seconds_left == pytest.approx(150)


def test_clocks_that_stand_still_or_disagree_make_no_pace_that_cannot_be() -> None:
    found = pace(Moment(5.0, 3, 0.0), Moment(5.0, 3, 0.0), Moment(5.0, 4, 1.0), 8, 10)
    assert found.waiting == 1.0 and found.seconds_left == 0.0


def training() -> Training:
    return Training(seeded_model(TINY, check_data(DATA), 1), *load_train_validation(DATA), RECIPE, seed=1, device="cpu")


def reported(every_seconds: float, capsys: pytest.CaptureFixture[str]) -> tuple[list[re.Match[str]], Training]:
    """The lines of a training whose steps last a second each, by the clock of the reporter."""
    ticks = itertools.count()
    one = training()
    reporter = Reporter(every_seconds, lambda: float(next(ticks)))
    list(one.epochs(lambda: reporter(one)))
    lines = capsys.readouterr().out.splitlines()
    matches = [LINE.fullmatch(line) for line in lines]
    assert all(matches), lines
    return [match for match in matches if match is not None], one


def test_a_line_comes_every_so_many_seconds_and_never_of_a_validation(capsys: pytest.CaptureFixture[str]) -> None:
    found, one = reported(1.0, capsys)
    steps = [int(match[1]) for match in found]
    assert {int(match[2]) for match in found} == {one.steps_per_epoch} and max(steps) < one.steps_per_epoch
    # Each step but the first, which nothing lies before, and the last of an epoch, whose own line comes.
    assert len(found) == RECIPE.epochs * (one.steps_per_epoch - 1) - 1 and steps[0] == 2
    assert {match[5] for match in found} == {str(RECIPE.batch_size)}
    fewer, _ = reported(2.0, capsys)
    assert 0 < len(fewer) <= (len(found) + RECIPE.epochs) / 2
    assert reported(1e9, capsys)[0] == []


def test_what_is_said_is_what_the_training_is_at(capsys: pytest.CaptureFixture[str]) -> None:
    one = training()
    rates, losses = [], []
    reporter = Reporter(1e-9)

    def after_step() -> None:
        reporter(one)
        rates.append(f"{one.learning_rate:.3g}")
        losses.append(f"{one.loss_so_far():.4f}")

    results = list(one.epochs(after_step))
    found = [LINE.fullmatch(line) for line in capsys.readouterr().out.splitlines()]
    said = {(match[4], match[3]) for match in found if match is not None}
    assert said and said <= set(zip(rates, losses, strict=True))
    assert 0 < one.waited_seconds < sum(result.epoch_seconds for result in results)
