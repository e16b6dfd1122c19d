"""A training that may be cut off at any moment: it goes on from its newest sound checkpoint and writes one an epoch.

A checkpoint holds `training`, the state of the training, and `results`, those of all its epochs so far. One that was
written within an epoch says where that stands.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from trainers.checkpoint import newest_sound_checkpoint, save_checkpoint
from trainers.distributed import Processes
from trainers.epoch_result import EpochResult
from trainers.folders import Folder
from trainers.loop import Training
from trainers.micro_batches import split_where_memory_is_short
from trainers.stopping import Stopped

T = TypeVar("T")

# What is wanted between two steps, of all that the processes want the largest.
NOTHING, SAVE, END = range(3)


@dataclass(frozen=True, slots=True)
class Pauses:
    """When a training is checkpointed within an epoch: every so many seconds, and where its end is requested.

    `after_pass` is called after each pass of a step, and each batch of an evaluation.
    """

    checkpoint_seconds: float
    end_requested: Callable[[], bool]
    after_pass: Callable[[Training], None] = lambda training: None


@dataclass(frozen=True, slots=True)
class ResumableTraining:
    """A training, the results of its epochs so far, and the folder of its checkpoints."""

    training: Training
    results: list[EpochResult]
    checkpoints: Folder
    processes: Processes

    def epochs(self, pauses: Pauses | None = None) -> Iterator[EpochResult]:
        """Trains on to the last epoch; each one is checkpointed, by the first process, before it is yielded.

        Raises Diverged, OSError where a checkpoint cannot be written, and Stopped where the pauses say so.
        """
        callbacks = () if pauses is None else (self._between_steps(pauses), self._between_passes(pauses))
        for result in self.training.epochs(*callbacks):
            self.results.append(result)
            self._save(result.epoch, {})
            yield result

    def _between_steps(self, pauses: Pauses) -> Callable[[], None]:
        saved = time.monotonic()

        def between_steps() -> None:
            nonlocal saved
            pauses.after_pass(self.training)
            is_due = time.monotonic() - saved >= pauses.checkpoint_seconds
            # A process alone cannot leave the others, nor be without them where they save.
            wanted = self.processes.largest(END if pauses.end_requested() else SAVE if is_due else NOTHING)
            if wanted == NOTHING:
                return
            training = self.training
            self._save(training.epoch, training.position())
            saved = time.monotonic()
            if wanted == END:
                raise Stopped(training.epoch + 1, training.step)

        return between_steps

    def _between_passes(self, pauses: Pauses) -> Callable[[], None]:
        """Ends a training within a step, which is then made anew: on a CPU one may take minutes.

        Only a process on its own: several would have to wait for each other after each pass.
        """
        training = self.training
        may_end = self.processes.world_size == 1 and training.stands_before_step()

        def between_passes() -> None:
            pauses.after_pass(training)
            if may_end and pauses.end_requested():
                self._save(training.epoch, training.position())
                raise Stopped(training.epoch + 1, training.step)

        return between_passes

    def _save(self, epoch: int, position: dict[str, Any]) -> None:
        unreadable = self.training.unreadable()

        def save() -> None:
            state = self.training.state_dict() | position | {"unreadable": unreadable}
            content = {"training": state, "results": [each.to_json() for each in self.results]}
            save_checkpoint(self.checkpoints, epoch, content, step=position.get("step", 0))

        self.processes.from_first(save)


def train_resumably(
    make_training: Callable[[], Training],
    checkpoints: Folder,
    processes: Processes,
    follow: Callable[[ResumableTraining], Iterator[T]],
) -> Iterator[T]:
    """What `follow` yields of a training that stands where its newest sound checkpoint left it, or at its beginning.

    `make_training` makes the training as it begins. Where the GPU's memory does not suffice, both are called once more
    and each batch goes through the network in two parts, from the newest checkpoint on; what `follow` yields before
    the training is at its end may therefore hold nothing on the GPU. Raises torch.cuda.OutOfMemoryError where that
    takes too much, too, and UserError where the checkpoints are those of another training.

    Of several processes the first reads and writes the checkpoints. None of them can take up alone what the others are
    in the middle of, so that with them a GPU's memory has to suffice at once.
    """

    def attempt(micro_batches: int) -> Iterator[T]:
        training = make_training()
        training.micro_batches *= micro_batches
        yield from follow(_taken_up(training, checkpoints, processes))

    return split_where_memory_is_short(attempt) if processes.world_size == 1 else attempt(1)


def _taken_up(training: Training, checkpoints: Folder, processes: Processes) -> ResumableTraining:
    found = processes.from_first(lambda: newest_sound_checkpoint(checkpoints))
    if found is None:
        return ResumableTraining(training, [], checkpoints, processes)
    _, state = found
    training.load_state_dict(state["training"])
    results = [EpochResult.from_json(result) for result in state["results"]]
    return ResumableTraining(training, results, checkpoints, processes)
