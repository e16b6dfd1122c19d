"""Tables as `tests/benchmarks/trained_table.py` makes them, of networks that nobody has trained."""

import csv
from itertools import islice
from pathlib import Path

import numpy as np

from nas.driver.command_line import read_command
from nas.strategy.candidates import SpaceCandidates
from tests.benchmarks.trained_table import columns, header, tasks
from trainers.data.datasets import check_data

SMALL = [
    "data=digits",
    "space.depth=[14]",
    "space.width=[0.0625]",
    "space.stages.spatial_extent=[3]",
    "space.stages.heads=[1]",
    "training.epochs=5",
    "training.warmup_epochs=0",
]


def made_up_table(path: Path, count: int) -> list[str]:
    """Five epochs of small networks that nobody has trained, their ids; every fourth stands there with two seeds."""
    command = read_command(["--space", "resnet_stages", *SMALL])
    candidates = SpaceCandidates(command.space, check_data(command.data))
    names = columns(command.space, 5)
    ids = []
    rng = np.random.default_rng(0)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(header(command))
        table = csv.DictWriter(file, names, restval="", lineterminator="\n")
        table.writeheader()
        for task in islice(tasks(command.space), count):
            candidate = candidates.candidate(task.architecture)
            row = {f"choice_{name}": value for name, value in candidate.choices.items()}
            row |= {"architecture": candidate.key, "flops": candidate.flops, "params": candidate.params}
            row |= {f"val_accuracy_{epoch}": rng.uniform(50, 90) for epoch in range(1, 6)}
            row |= {"seed": task.seed, "epoch_seconds": 2.0, "test_accuracy": 60}
            table.writerow({name: row.get(name, "") for name in names})
            ids += [candidate.key] if task.seed == 0 else []
    return ids
