"""Following a training to its last epoch: its history is kept, and the first process says how it goes."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from trainers.epoch_result import EpochResult
from trainers.history import write_history
from trainers.loop import Training
from trainers.resumable import Pauses, ResumableTraining


def followed(
    resumed: ResumableTraining,
    pauses: Pauses,
    history: Path,
    continuation: Callable[[int | None], Sequence[str]],
    epoch_line: Callable[[EpochResult, float], str],
) -> Iterator[tuple[Training, list[EpochResult]]]:
    """The training at its end and all its results, once; on the way there its epochs are in `history`.

    Of one that goes on `continuation` says in what otherwise than before, given the number of processes that it was on,
    if that is known; `epoch_line` has a line for an epoch, given how many seconds are left. Raises as
    `ResumableTraining.epochs`.
    """
    training, processes = resumed.training, resumed.processes
    before, start = len(resumed.results), time.perf_counter()

    def keep() -> None:
        processes.from_first(lambda: write_history(history, resumed.results))

    # Of one that was taken up the number of processes is known, also where it had not come to its first step's end.
    taken_up = before or training.step or training.earlier_world_size is not None
    if taken_up and processes.is_first:
        within = f", and {training.step} of {training.steps_per_epoch} steps" if training.step else ""
        print(f"resumes  after epoch {before}{within}", flush=True)
        for line in continuation(training.earlier_world_size):
            print(f"         {line}", flush=True)
    elif processes.is_first and history.exists():
        print("anew     no sound checkpoint is left of the epochs that were trained here before", flush=True)
    if resumed.results:
        # An interruption may have come before the last epoch was written.
        keep()
    for result in resumed.epochs(pauses):
        keep()
        if processes.is_first:
            epochs_left = training.recipe.epochs - result.epoch
            seconds_left = (time.perf_counter() - start) / (result.epoch - before) * epochs_left
            print(epoch_line(result, seconds_left), flush=True)
    yield training, resumed.results
