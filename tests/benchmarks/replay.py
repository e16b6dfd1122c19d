"""What a search sees again of the trainings in a table of `trained_table.py`."""

import math
import random
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from search_spaces.space import Space
from tests.benchmarks.schedule import Schedule, schedule_of
from tests.benchmarks.trainings import Trainings

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Replay:
    """What a table of `trained_table.py` has beside: it is a sample of `space`, with the accuracy of every epoch.

    trainings: of each row its seeds' [S, epochs] accuracies in [0, 1], NaN from the epoch on in which one diverged.
    seen: [N, epochs] those of the one training of each row that a search sees. epoch_seconds: [N].
    """

    space: Space
    trainings: list[Array]
    seen: Array
    epoch_seconds: Array
    schedule: Schedule

    def drawn(self, seed: int) -> "Replay":
        """The same where one training of each row, drawn by the seed of a search, is seen."""
        rng = random.Random(seed)
        return replace(self, seen=np.array([rng.choice(trainings) for trainings in self.trainings]))


def replay_of(found: Trainings) -> Replay:
    """A row an architecture, in the order in which they come; the training of the first seed is seen of each."""
    networks, epochs = found.by_architecture(), found.recipe.epochs
    trainings = [
        np.array([[*one.accuracies, *[math.nan] * (epochs - len(one.accuracies))] for one in network])
        for network in networks
    ]
    return Replay(
        space=found.space,
        trainings=trainings,
        seen=np.array([accuracies[0] for accuracies in trainings]),
        epoch_seconds=np.array([np.mean([one.epoch_seconds for one in network]) for network in networks]),
        schedule=schedule_of(found.data, epochs),
    )
