"""A table of trained networks with the accuracy of every epoch, made by training: searches are replayed on it.

python tests/benchmarks/trained_table.py --out FILE.csv [--trainings 500] [--processes 2] [KEY=VALUE …]

Random architectures of the space, one after the other, with the data and recipe of a search with these overrides;
every fourth is trained with a second seed, too. A training takes one thread. Each row is written as its training ends;
what FILE holds is not trained again, so that an interrupted run goes on. The first line of FILE says what was trained.
"""

import argparse
import csv
import itertools
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from nas.driver.command_line import read_command
from nas.settings.command import Command
from nas.strategy.candidates import SpaceCandidates, choice_domains
from search_spaces.architecture import Architecture
from search_spaces.errors import UserError
from search_spaces.space import Space
from trainers.data.config import DataConfig
from trainers.data.datasets import check_data, load_test, load_train_validation
from trainers.loop import Diverged, Training
from trainers.model import seeded_model
from trainers.recipe import Recipe

REPEATED = 4  # one architecture of so many is trained with two seeds


@dataclass(frozen=True, slots=True)
class Task:
    """One training: `seed` is that of the weights and of the order of the images."""

    architecture: Architecture
    seed: int

    @property
    def key(self) -> tuple[str, str]:
        """As FILE has it."""
        return self.architecture.id, str(self.seed)


def tasks(space: Space, seed: int = 0) -> Iterator[Task]:
    """Distinct random architectures without end, so that whatever is trained of them first is a sample of the space."""
    rng = random.Random(seed)
    seen: set[str] = set()
    for number in itertools.count():
        architecture = space.sample(rng)
        while architecture.id in seen:
            architecture = space.sample(rng)
        seen.add(architecture.id)
        yield Task(architecture, 0)
        if number % REPEATED == 0:
            yield Task(architecture, 1)


def trained(task: Task, recipe: Recipe, data: DataConfig) -> dict[str, Any]:
    """The accuracies, in per cent, of one training on one thread; empty from the epoch on in which it diverged.

    epoch_seconds are those of the processor, so that what else the machine does is not in them.
    """
    torch.set_num_threads(1)
    train, validation = load_train_validation(data)
    training = Training(
        seeded_model(task.architecture, check_data(data), task.seed),
        train,
        validation,
        recipe,
        seed=task.seed,
        device="cpu",
    )
    accuracies: list[float] = []
    test: float | str = ""
    started = time.process_time()
    try:
        for result in training.epochs():
            accuracies.append(result.val_accuracy)
        seconds = (time.process_time() - started) / recipe.epochs
        test = round(100 * training.evaluate(load_test(data))[1], 4)
    except Diverged as error:
        seconds = (time.process_time() - started) / error.epoch
    row = {f"val_accuracy_{epoch}": round(100 * value, 4) for epoch, value in enumerate(accuracies, 1)}
    return row | {"test_accuracy": test, "epoch_seconds": round(seconds, 4)}


def header(command: Command) -> str:
    """The first line of FILE: a comment that holds what every row was trained with."""
    made_of = {"space": command.space.to_json(), "data": command.data.to_json(), "recipe": command.training.to_json()}
    return f"# {json.dumps(made_of)}\n"


def columns(space: Space, epochs: int) -> list[str]:
    choices = [f"choice_{name}" for name in choice_domains(space)]
    accuracies = [f"val_accuracy_{epoch}" for epoch in range(1, epochs + 1)]
    return ["architecture", "seed", *choices, "flops", "params", "epoch_seconds", *accuracies, "test_accuracy"]


def begun(path: Path, command: Command) -> set[tuple[str, str]]:
    """The trainings that FILE holds; it is made where it is not there. Raises UserError where others are in it."""
    if not path.exists():
        path.write_text(header(command) + ",".join(columns(command.space, command.training.epochs)) + "\n")
        return set()
    first, _, rows = path.read_text(encoding="utf-8").partition("\n")
    if first + "\n" != header(command):
        raise UserError(f"{path} was made with another space, data or recipe: expected these, or another --out.")
    if not rows.endswith("\n"):  # a row that was cut off is trained anew
        rows = rows[: rows.rfind("\n") + 1]
        path.write_text(f"{first}\n{rows}", encoding="utf-8")
    return {(row["architecture"], row["seed"]) for row in csv.DictReader(rows.splitlines())}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="resnet_stages")
    parser.add_argument("--trainings", type=int, default=500)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_intermixed_args(arguments)
    try:
        command = read_command(["--space", options.space, *options.overrides])
        known = begun(options.out, command)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    wanted = [task for task in itertools.islice(tasks(command.space), options.trainings) if task.key not in known]
    candidates = SpaceCandidates(command.space, check_data(command.data))
    names = columns(command.space, command.training.epochs)
    with (
        ProcessPoolExecutor(options.processes, get_context("spawn")) as pool,
        options.out.open("a", newline="", encoding="utf-8") as file,
    ):
        table = csv.DictWriter(file, names, restval="", lineterminator="\n")
        running = {pool.submit(trained, task, command.training, command.data): task for task in wanted}
        for done, future in enumerate(as_completed(running), 1):
            task, result = running[future], future.result()
            candidate = candidates.candidate(task.architecture)
            choices = {f"choice_{name}": value for name, value in candidate.choices.items()}
            cost = {"flops": round(candidate.flops), "params": round(candidate.params)}
            row = {"architecture": task.architecture.id, "seed": task.seed, **choices, **cost, **result}
            table.writerow({name: row.get(name, "") for name in names})
            file.flush()
            print(f"{done} of {len(wanted)}: {result['test_accuracy']} %  {task.architecture.label}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
