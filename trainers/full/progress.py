"""What a full training says between two epochs: how fast it is, what it waits for, and how long it will take."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from search_spaces.units import readable_duration
from trainers.loop import Training
from trainers.memory_in_use import memory_in_use


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a training stands: at `seconds` of a clock it has made `steps` of all, with the share of the running one,
    and has waited `waited_seconds` for images in this process.
    """

    seconds: float
    steps: float
    waited_seconds: float


@dataclass(frozen=True, slots=True)
class Pace:
    """What a training did between two moments, and will take at the pace that it has had since it began.

    `images_per_second` are those of all processes; `waiting` is the share of the time in which this process waited for
    images.
    """

    images_per_second: float
    waiting: float
    seconds_left: float


def pace(began: Moment, before: Moment, now: Moment, batch_size: int, steps_left: float) -> Pace:
    """The pace from `before` to `now`, of batches of so many images. A part of a step must lie between them."""
    seconds = max(now.seconds - before.seconds, 1e-9)
    a_step = (now.seconds - began.seconds) / (now.steps - began.steps)
    return Pace(
        images_per_second=(now.steps - before.steps) * batch_size / seconds,
        waiting=min(1.0, (now.waited_seconds - before.waited_seconds) / seconds),
        seconds_left=a_step * steps_left,
    )


def progress_line(training: Training, found: Pace, memory_bytes: int) -> str:
    """One line on a training within an epoch; its loss is the mean of the epoch so far, in this process."""
    speed = found.images_per_second
    return (
        f"{_place(training)}  rate {training.learning_rate:.3g}  {speed:,.{0 if speed >= 10 else 2}f} images/s  "
        f"{found.waiting:.0%} waiting  {memory_bytes / 1e9:.1f} GB  {readable_duration(found.seconds_left)} left"
    )


def first_line(training: Training, seconds: float, memory_bytes: int) -> str:
    """One line on a training whose beginning took so long that it is worth a word."""
    return f"{_place(training)}  the first after {readable_duration(seconds)}  {memory_bytes / 1e9:.1f} GB"


def _place(training: Training) -> str:
    steps = training.steps_per_epoch
    within = f", pass {training.passes_done}/{training.passes_of_step}" if training.passes_done else ""
    loss = f"  loss {training.loss_so_far():.4f}" if training.step else ""
    return f"  {training.step:>{len(str(steps))}}/{steps}{within}{loss}"


class Reporter:
    """Prints a line of a training every `every_seconds`.

    Called after each pass of a step, and each batch of an evaluation, by the process that prints.
    """

    def __init__(self, every_seconds: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self._every_seconds = every_seconds
        self._clock = clock
        self._made = clock()
        self._began: Moment | None = None
        self._before: Moment | None = None

    def __call__(self, training: Training) -> None:
        now = Moment(self._clock(), training.steps_done(), training.waited_seconds)
        if self._began is None or self._before is None:
            # The first step, or pass of it, warms up caches and kernels, and is not part of any pace.
            self._began = self._before = now
            seconds = now.seconds - self._made
            if seconds >= self._every_seconds and training.step < training.steps_per_epoch:
                print(first_line(training, seconds, memory_in_use(training.device)), flush=True)
            return
        if training.step == training.steps_per_epoch:
            # The validation images come next, and the line of the epoch. How fast it trains is counted after them.
            self._before = now
            return
        if now.seconds - self._before.seconds < self._every_seconds:
            return
        left = training.recipe.epochs * training.steps_per_epoch - now.steps
        found = pace(self._began, self._before, now, training.recipe.batch_size, left)
        print(progress_line(training, found, memory_in_use(training.device)), flush=True)
        self._before = now
