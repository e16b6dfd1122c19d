"""Does a search's budget rank architectures as their full training does? Networks across a space, trained both ways.

python tests/benchmarks/ranking.py [--architectures 14] [--processes 2] [--results FILE] [KEY=VALUE …]

The anchors, and random architectures at even ratios of FLOPs. `data=NAME` and `training.*` are overrides of the
search, `recipe.*` of the full training. What FILE holds is not trained again, so that an interrupted run goes on.
Prints the table and Spearman's correlation of the search's validation accuracy with the full training's test accuracy,
beside how well the full training's own two accuracies agree, above which chance alone could bring it.
"""

import argparse
import json
import random
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from scipy.stats import spearmanr

from nas.driver.command_line import read_command
from search_spaces.architecture import Architecture
from search_spaces.overrides import read_override, with_overrides
from search_spaces.space import Space
from trainers.data.config import DataConfig, DataSummary
from trainers.data.datasets import check_data, load_test, load_train_validation
from trainers.loop import Training
from trainers.model import seeded_model
from trainers.recipe import Recipe
from trainers.recipe_files import full_training

# Among so many random architectures those at even ratios of FLOPs are taken.
SAMPLED = 500


@dataclass(frozen=True, slots=True)
class Task:
    """One training: `kind` is "search" or "full"."""

    kind: str
    architecture: Architecture
    recipe: Recipe
    data: DataConfig
    seed: int

    @property
    def key(self) -> str:
        """Equal for equal trainings."""
        parts = (self.architecture.id, self.recipe.to_json(), self.data.to_json(), self.seed)
        return json.dumps(parts, sort_keys=True)


def across(space: Space, data: DataSummary, count: int, seed: int) -> list[Architecture]:
    """The anchors and, by rising FLOPs, random architectures: `count` of them together."""
    anchors = space.anchors()
    rng = random.Random(seed)
    left = [architecture for architecture in (space.sample(rng) for _ in range(SAMPLED)) if architecture not in anchors]
    flops = [data.cost(architecture).flops for architecture in left]
    steps = count - len(anchors)
    chosen = list(anchors)
    for step in range(steps):
        wanted = min(flops) * (max(flops) / min(flops)) ** (step / (steps - 1))
        nearest = min(left, key=lambda architecture: abs(data.cost(architecture).flops - wanted))
        left.remove(nearest)
        chosen.append(nearest)
    return chosen


def trained(task: Task) -> dict[str, Any]:
    """The accuracies of one training on one thread: validation after each epoch, test at its end."""
    torch.set_num_threads(1)
    train, validation = load_train_validation(task.data)
    model = seeded_model(task.architecture, check_data(task.data), task.seed)
    training = Training(model, train, validation, task.recipe, seed=task.seed, device="cpu")
    started = time.process_time()
    curve = [result.val_accuracy for result in training.epochs()]
    seconds = time.process_time() - started
    test = training.evaluate(load_test(task.data))[1]
    return {"key": task.key, "val_accuracy": curve, "test_accuracy": test, "cpu_seconds": seconds}


def all_trained(tasks: list[Task], processes: int, results: Path | None) -> dict[str, dict[str, Any]]:
    """The results of all tasks by key; those of `results` are taken from there, the others added to it."""
    known = {}
    if results is not None and results.exists():
        known = {row["key"]: row for row in map(json.loads, results.read_text(encoding="utf-8").splitlines())}
    missing = [task for task in tasks if task.key not in known]
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        for task, row in zip(missing, pool.map(trained, missing), strict=True):
            known[task.key] = row
            print(f"{task.kind:6}  {row['test_accuracy']:7.2%}  {task.architecture.label}", flush=True)
            if results is not None:
                with results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
    return known


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="resnet_stages")
    parser.add_argument("--architectures", type=int, default=14)
    parser.add_argument("--processes", type=int, default=2, help="trainings at a time, of one thread each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    arguments = parser.parse_intermixed_args()
    of_full = [text for text in arguments.overrides if text.startswith("recipe.")]
    of_search = [text for text in arguments.overrides if text not in of_full]
    command = read_command(["--space", arguments.space, *of_search])
    full = {"recipe": full_training(command.data.name).to_json()}
    changes = [read_override(text, "recipe.epochs=20") for text in of_full]
    recipes = {
        "search": command.training,
        "full": Recipe.from_json(with_overrides(full, changes, {"recipe": Recipe})["recipe"]),
    }
    data = check_data(command.data)
    chosen = across(command.space, data, arguments.architectures, arguments.seed)
    architectures = sorted(chosen, key=lambda architecture: data.cost(architecture).flops)
    task = partial(Task, data=command.data, seed=arguments.seed)
    tasks = {(kind, a.id): task(kind, a, recipes[kind]) for a in architectures for kind in recipes}
    results = all_trained(list(tasks.values()), arguments.processes, arguments.results)
    print_table(architectures, data, {place: results[one.key] for place, one in tasks.items()})


def print_table(
    architectures: list[Architecture], data: DataSummary, results: dict[tuple[str, str], dict[str, Any]]
) -> None:
    """The accuracies of the architectures, the CPU seconds of both trainings, and the correlation."""
    print(f"\n{data.name}: {data.train_images} images to train on, {data.validation_images} to validate")
    print("MFLOPs  search: val  test  full: val  test  CPU s  architecture")
    rows = [(results["search", a.id], results["full", a.id]) for a in architectures]
    for architecture, (search, full) in zip(architectures, rows, strict=True):
        print(
            f"{data.cost(architecture).flops / 1e6:6.2f}"
            f"  {search['val_accuracy'][-1]:11.1%} {search['test_accuracy']:5.1%}"
            f"  {full['val_accuracy'][-1]:9.1%} {full['test_accuracy']:5.1%}"
            f"  {search['cpu_seconds']:3.0f} + {full['cpu_seconds']:3.0f}  {architecture.label}"
        )
    final = [full["test_accuracy"] for _, full in rows]
    curves = [search["val_accuracy"] for search, _ in rows]
    for epoch in range(1, len(curves[0]) + 1):
        correlation = spearmanr([curve[epoch - 1] for curve in curves], final).statistic
        print(f"Spearman's correlation of epoch {epoch} with the full training: {correlation:.3f}")
    validated = [full["val_accuracy"][-1] for _, full in rows]
    # The two splits are as large as each other.
    held_out = [(test + validation) / 2 for test, validation in zip(final, validated, strict=True)]
    last = spearmanr([curve[-1] for curve in curves], held_out).statistic
    print(f"of the last with the full training's accuracy on all images held out: {last:.3f}")
    agreement = spearmanr(validated, final).statistic
    print(f"of the full training's validation accuracy with its test accuracy: {agreement:.3f}")


if __name__ == "__main__":
    main()
