"""A training that may be cut off at any moment: it goes on from its newest sound checkpoint and writes one an epoch.

A checkpoint holds `training`, the state of the training, and `results`, those of all its epochs so far.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from trainers.checkpoint import newest_sound_checkpoint, save_checkpoint
from trainers.distributed import Processes
from trainers.epoch_result import EpochResult
from trainers.loop import Training
from trainers.micro_batches import split_where_memory_is_short

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ResumableTraining:
    """A training, the results of its epochs so far, and the directory of its checkpoints."""

    training: Training
    results: list[EpochResult]
    checkpoints: Path
    processes: Processes

    def epochs(self) -> Iterator[EpochResult]:
        """Trains on to the last epoch; each one is checkpointed, by the first process, before it is yielded.

        Raises Diverged, and OSError where a checkpoint cannot be written.
        """
        for result in self.training.epochs():
            self.results.append(result)
            if self.processes.is_first:
                state = {"training": self.training.state_dict(), "results": [each.to_json() for each in self.results]}
                save_checkpoint(self.checkpoints, result.epoch, state)
            yield result


def train_resumably(
    make_training: Callable[[], Training],
    checkpoints: Path,
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


def _taken_up(training: Training, checkpoints: Path, processes: Processes) -> ResumableTraining:
    found = processes.from_first(lambda: newest_sound_checkpoint(checkpoints))
    if found is None:
        return ResumableTraining(training, [], checkpoints, processes)
    _, state = found
    training.load_state_dict(state["training"])
    results = [EpochResult.from_json(result) for result in state["results"]]
    return ResumableTraining(training, results, checkpoints, processes)
