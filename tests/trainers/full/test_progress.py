"""What is said within an epoch, by a scripted clock and of real trainings."""

import itertools
import re

import pytest

from tests.support.tiny_training import DATA, RECIPE, TINY
from trainers.batch_layout import layout_of
from trainers.data.datasets import check_data, load_train_validation
from trainers.full.progress import Moment, Reporter, pace
from trainers.loop import Training
from trainers.model import seeded_model

LINE = re.compile(
    r"  +(\d+)/(\d+)  loss (\d+\.\d{4})  rate (\S+)  ([\d,]+) images/s  (\d+)% waiting  \d+\.\d GB  (.+) left"
)
FIRST_LINE = re.compile(r"  +1/\d+  loss \d+\.\d{4}  the first after 1\.0 s  \d+\.\d GB")


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
    # No pace can be told by the first step alone. The clock ticked when the reporter was made.
    if every_seconds <= 1.0:
        assert FIRST_LINE.fullmatch(lines.pop(0))
    matches = [LINE.fullmatch(line) for line in lines]
    assert all(matches), lines
    return [match for match in matches if match is not None], one


def test_a_line_comes_every_so_many_seconds_and_never_of_a_validation(capsys: pytest.CaptureFixture[str]) -> None:
    found, one = reported(1.0, capsys)
    steps = [int(match[1]) for match in found]
    assert {int(match[2]) for match in found} == {one.steps_per_epoch} and max(steps) < one.steps_per_epoch
    # Each step but the first, which has a line of its own, and the last of an epoch, whose own line comes.
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
    _, *lines = capsys.readouterr().out.splitlines()
    found = [LINE.fullmatch(line) for line in lines]
    said = {(match[4], match[3]) for match in found if match is not None}
    assert said and said <= set(zip(rates, losses, strict=True))
    assert 0 < one.waited_seconds < sum(result.epoch_seconds for result in results)


def test_within_a_step_it_is_said_which_pass_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    splits = load_train_validation(DATA)
    layout = layout_of(RECIPE.batch_size, len(splits[0]), micro_batch=64, norm_batch=64)
    one = Training(seeded_model(TINY, check_data(DATA), 1), *splits, RECIPE, seed=1, device="cpu", layout=layout)
    ticks = itertools.count()
    reporter = Reporter(1.0, lambda: float(next(ticks)))
    done = []

    def after_pass() -> None:
        reporter(one)
        done.append(one.steps_done())

    next(one.epochs(after_pass, after_pass))
    lines = capsys.readouterr().out.splitlines()
    steps, passes = one.steps_per_epoch, layout.passes
    assert passes == 4 and re.fullmatch(rf"  0/{steps}, pass 1/4  the first after 1\.0 s  \d+\.\d GB", lines[0])
    # A pass lasts a second, and the loss is that of the steps so far.
    second = rf"  0/{steps}, pass 2/4  rate \S+  64 images/s  \d+% waiting  \d+\.\d GB  .+ left"
    assert re.fullmatch(second, lines[1]), lines[1]
    assert lines[3].startswith(f"  1/{steps}  loss ") and lines[4].startswith(f"  1/{steps}, pass 1/4  loss ")
    assert done[: steps * passes] == [number / passes for number in range(1, steps * passes + 1)]
