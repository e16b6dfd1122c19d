"""Are trained networks' weights worth keeping? Short trainings that start from them, beside short ones from scratch.

python tests/benchmarks/inherited_weights.py --table FILE.csv --folder DIR [--parents 12] [--children 22] [--epochs 3 5]
    [--starts scratch blocks tensors] [--learning-rate 1]

FILE is one of `trained_table.py`. Parents are the first architectures that it draws; those that are nearest to some
child are trained as FILE says. Children are the next in FILE, whose trainings from scratch are there. Each is trained
for so many epochs, the schedule being as short, from its start: "scratch", or the weights of the parent from which it
inherits the largest share of its parameters (by "blocks"), taken by "blocks" or by "tensors" (`inheritance.Rule`). The
learning rate from a parent's weights is so many times the recipe's. The seed is one that FILE has not, so that no start
has more in common with the long training than another. DIR keeps the weights and the results, and a rerun goes on.

Printed of each start and number of epochs: rank correlations with the last accuracy of the long training (Spearman's,
also given the parameters, and Kendall's, ± the standard error over children drawn anew), the accuracy, the CPU time;
the same of log parameters, log FLOPs and the long training's curve; and differences of Spearman's correlation from
scratch's, of the same children.
"""

import argparse
import csv
import dataclasses
import io
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import cast

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from search_spaces.architecture import Architecture
from search_spaces.errors import UserError
from search_spaces.resnet import ResNet
from tests.benchmarks.added_signals import Array
from tests.benchmarks.inheritance import Inherited, Rule, inherit, inherited_share
from tests.benchmarks.rank_agreements import print_differences, print_row, rank_agreement, spearman
from tests.benchmarks.trained_networks import TrainedNetwork, TrainedNetworks, read_trained_networks
from tests.benchmarks.trained_table import tasks
from trainers.data.datasets import load_train_validation
from trainers.files import write_atomically
from trainers.loop import Training
from trainers.model import seeded_model
from trainers.recipe import Recipe

STARTS = ("scratch", "blocks", "tensors")
# Of the parents; FILE has it, too.
PARENT_SEED = 0
SHORT_SEED = 2


@dataclass(frozen=True, slots=True)
class ShortTraining:
    """From `start` for so many epochs, at so many times the recipe's learning rate."""

    architecture: str
    start: str
    epochs: int
    learning_rate: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """The last validation accuracy, in [0, 1], and the CPU time of all epochs."""

    accuracy: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Child:
    """A network of the table, the parent that is nearest to it, and the shares that it inherits by each rule."""

    network: TrainedNetwork
    parent: Architecture
    shares: Mapping[Rule, Inherited]


def children_of(table: TrainedNetworks, parents: Sequence[Architecture], count: int) -> list[Child]:
    """The first networks of the table that are no parents, each with the parent that gives it most parameters."""
    built = [untrained(table, parent) for parent in parents]
    known = {parent.id for parent in parents}
    children = []
    for network in islice((one for one in table.networks if one.architecture.id not in known), count):
        model = untrained(table, network.architecture)
        shares = [inherited_share(model, parent, "blocks", table.summary) for parent in built]
        best = max(range(len(parents)), key=lambda index: (shares[index].params, shares[index].flops))
        whole = inherited_share(model, built[best], "tensors", table.summary)
        children.append(Child(network, parents[best], {"blocks": shares[best], "tensors": whole}))
    return children


def untrained(table: TrainedNetworks, architecture: Architecture) -> ResNet:
    return cast(ResNet, seeded_model(architecture, table.summary, SHORT_SEED))


def trained(table: TrainedNetworks, model: torch.nn.Module, recipe: Recipe, seed: int) -> tuple[Training, Outcome]:
    train, validation = load_train_validation(table.data)
    training = Training(model, train, validation, recipe, seed=seed, device="cpu")
    started = time.process_time()
    *_, last = training.epochs()
    return training, Outcome(last.val_accuracy, time.process_time() - started)


def trained_parent(table: TrainedNetworks, architecture: Architecture, folder: Path) -> ResNet:
    """The weights that are kept of its long training, which is run where DIR lacks them."""
    path = folder / f"{architecture.id}.pt"
    model = cast(ResNet, seeded_model(architecture, table.summary, PARENT_SEED))
    if not path.exists():
        training, outcome = trained(table, model, table.recipe, PARENT_SEED)
        in_table = [one.accuracies[-1] for one in table.networks if one.architecture == architecture]
        beside = "".join(f", in the table {accuracy:.2%}" for accuracy in in_table)
        print(f"parent {outcome.accuracy:.2%}{beside}, {outcome.cpu_seconds:.0f} s  {architecture.label}", flush=True)
        content = io.BytesIO()
        torch.save(training.evaluated_model.state_dict(), content)
        write_atomically(path, content.getvalue())
    model.load_state_dict(torch.load(path, weights_only=True))
    return model


def short_recipe(recipe: Recipe, epochs: int, learning_rate: float) -> Recipe:
    """The whole schedule in so many epochs."""
    return dataclasses.replace(recipe.shortened(epochs), learning_rate=recipe.learning_rate * learning_rate)


def train_missing(
    table: TrainedNetworks, children: Sequence[Child], wanted: Iterable[ShortTraining], folder: Path
) -> dict[ShortTraining, Outcome]:
    """The outcomes of what is wanted; those that DIR lacks are trained and added to it, one after the other."""
    path = folder / "short_trainings.csv"
    fields = [field.name for kind in (ShortTraining, Outcome) for field in dataclasses.fields(kind)]
    if not path.exists():
        path.write_text(",".join(fields) + "\n", encoding="utf-8")
    found = {}
    for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
        task = ShortTraining(row["architecture"], row["start"], int(row["epochs"]), float(row["learning_rate"]))
        found[task] = Outcome(float(row["accuracy"]), float(row["cpu_seconds"]))
    by_id = {child.network.architecture.id: child for child in children}
    for task in (task for task in wanted if task not in found):
        child = by_id[task.architecture]
        model = untrained(table, child.network.architecture)
        if task.start != "scratch":
            model = inherit(model, trained_parent(table, child.parent, folder), cast(Rule, task.start))
        _, outcome = trained(table, model, short_recipe(table.recipe, task.epochs, task.learning_rate), SHORT_SEED)
        found[task] = outcome
        with path.open("a", newline="", encoding="utf-8") as file:
            values = dataclasses.astuple(task) + dataclasses.astuple(outcome)
            csv.writer(file, lineterminator="\n").writerow(values)
        print(f"{task.start} {task.epochs}: {outcome.accuracy:.2%}  {child.network.architecture.label}", flush=True)
    return found


def print_agreements(
    table: TrainedNetworks, children: Sequence[Child], found: Mapping[tuple[str, int], Sequence[Outcome]]
) -> None:
    """`found`: the outcomes of all children, in their order, by start and epochs."""
    networks = [child.network for child in children]
    final_N = np.array([network.final_accuracy for network in networks])
    log_params_N = np.log([network.candidate.params for network in networks])
    log_flops_N = np.log([network.candidate.flops for network in networks])
    print(f"\n{len(children)} children; the long training's {table.recipe.epochs} epochs: {final_N.mean():.1%}")
    print(f"{'':28}        Spearman         Kendall  given params  accuracy  CPU s")
    print(f"{'log parameters':28}", rank_agreement(log_params_N, final_N, log_params_N))
    print(f"{'log FLOPs':28}", rank_agreement(log_flops_N, final_N, log_params_N))
    for epoch in range(1, table.recipe.epochs + 1):
        values_N = np.array([network.accuracies[epoch - 1] for network in networks])
        seconds = epoch * fmean(network.epoch_seconds for network in networks)
        print_row(f"long training, epoch {epoch}", values_N, seconds, final_N, log_params_N)
    for (start, epochs), outcomes in found.items():
        values_N = np.array([outcome.accuracy for outcome in outcomes])
        seconds = fmean(outcome.cpu_seconds for outcome in outcomes)
        print_row(f"{start}, {epochs} epochs", values_N, seconds, final_N, log_params_N)


def print_inheritance(
    children: Sequence[Child], found: Mapping[tuple[str, int], Sequence[Outcome]], scratch: str = STARTS[0]
) -> None:
    """What is inherited, and what each start from a parent's weights does beside the one from scratch."""
    final_N = np.array([child.network.final_accuracy for child in children])
    for (start, epochs), outcomes in found.items():
        if start == scratch:
            continue
        shares = [child.shares[cast(Rule, start)] for child in children]
        share_N = np.array([share.params for share in shares])
        values_N = np.array([outcome.accuracy for outcome in outcomes])
        print(
            f"\n{start}, {epochs} epochs: {share_N.mean():.0%} of the parameters are inherited "
            f"({share_N.min():.0%} to {share_N.max():.0%}), {fmean(share.flops for share in shares):.0%} of the "
            f"FLOPs; Spearman's correlation of the accuracy with that share {spearman(values_N, share_N):.2f}, "
            f"of what is left to the long training's {spearman(final_N - values_N, share_N):.2f}"
        )
        print_alike(share_N, values_N, final_N)
        if (scratch, epochs) in found:
            from_scratch_N = np.array([outcome.accuracy for outcome in found[scratch, epochs]])
            print_differences(values_N, from_scratch_N, final_N)


def print_alike(share_N: Array, values_N: Array, final_N: Array) -> None:
    """The children that inherit half of their parameters or more, and the others."""
    for name, which_N in (("at least half", share_N >= 0.5), ("less", share_N < 0.5)):
        if which_N.any():
            correlation = spearman(values_N[which_N], final_N[which_N])
            print(f"  {which_N.sum()} inherit {name}: {values_N[which_N].mean():.1%}, Spearman {correlation:.2f}")


def measure(options: argparse.Namespace) -> None:
    table = read_trained_networks(options.table)
    drawn = (task.architecture for task in tasks(table.space) if task.seed == PARENT_SEED)
    children = children_of(table, list(islice(drawn, options.parents)), options.children)
    options.folder.mkdir(parents=True, exist_ok=True)
    wanted = {
        (start, epochs): [
            ShortTraining(
                child.network.architecture.id, start, epochs, 1.0 if start == "scratch" else options.learning_rate
            )
            for child in children
        ]
        for epochs in options.epochs
        for start in options.starts
    }
    outcomes = train_missing(table, children, [task for group in wanted.values() for task in group], options.folder)
    found = {place: [outcomes[task] for task in group] for place, group in wanted.items()}
    print_agreements(table, children, found)
    print_inheritance(children, found)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--parents", type=int, default=12)
    parser.add_argument("--children", type=int, default=22)
    parser.add_argument("--epochs", type=int, nargs="+", default=[3, 5])
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=STARTS)
    parser.add_argument("--learning-rate", type=float, default=1.0, metavar="TIMES")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        measure(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
