"""Tables of networks that nobody trained, with the traits that make searching hard, for search_quality.

    .venv/bin/python tests/benchmarks/synthetic_tables.py --out DIR --first-seed 0 --count 12

writes `synthetic-0000.csv` … and prints the traits of each. A seed is a table: its traits are drawn from the
distribution that `drawn_traits` states, its networks from the traits.
"""

import argparse
import csv
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

LEAST_NETWORKS, MOST_NETWORKS = 1_500, 20_000
CHANCE_ERROR = 0.9


@dataclass(frozen=True, slots=True)
class Traits:
    """What a table is like.

    sizes: how many values each choice has. ordered: which of them are numbers whose neighbours are alike.
    cost_levels: of how many costs, None as many as come. cost_choices: how many choices the cost depends on.
    failing: the share of networks that do not train, with an error near chance. cliff: how much rather the good ones
    fail. interactions: the share of a network's quality that no sum over its choices explains; each choice acts with
    `partners` others (Kauffman's NK landscapes). rarity: above 0 the good ones are few and stand out: quality q
    becomes exp(rarity · q). steepness: the logistic slope from quality to error. easiness: above 0 most networks are
    near the best, below it most are near chance. cost_worth: what the whole range of costs adds to the quality, in its
    standard deviations. best_error: of a perfect network. noise: the standard deviation of one training's log error.
    trainings: how many there are of each. absent: the share of combinations that are missing.
    """

    sizes: tuple[int, ...]
    ordered: tuple[bool, ...]
    cost_levels: int | None
    cost_choices: int
    failing: float
    cliff: float
    interactions: float
    partners: int
    rarity: float
    steepness: float
    easiness: float
    cost_worth: float
    best_error: float
    noise: float
    trainings: int
    absent: float


@dataclass(frozen=True, slots=True)
class SyntheticTable:
    """values: [N, C], of each choice; costs: [N]; errors: [N, trainings], in [0, 1]."""

    values: Codes
    ordered: tuple[bool, ...]
    costs: Array
    errors: Array


def drawn_traits(random: np.random.Generator) -> Traits:
    """The distribution of traits, each drawn on its own."""
    many, absent = random.random() < 0.5, float(random.choice([0.0, 0.0, random.uniform(0.1, 0.6)]))
    sizes: Codes = np.ones(1, dtype=np.int64)
    while sizes.prod() * (1 - absent) < LEAST_NETWORKS:
        sizes = random.integers(2, 5, random.integers(6, 11)) if many else random.integers(4, 11, random.integers(4, 7))
    kind = random.choice(["ordered", "categories", "both"])
    ordered = {"ordered": 0.9, "categories": 0.0, "both": 0.5}[kind]
    return Traits(
        sizes=tuple(int(size) for size in sizes),
        ordered=tuple(bool(one) for one in random.random(len(sizes)) < ordered),
        cost_levels=int(random.integers(3, 11)) if random.random() < 0.5 else None,
        cost_choices=int(random.integers(1, len(sizes) + 1)),
        failing=float(random.choice([0.0, random.uniform(0.0, 0.6), random.uniform(0.0, 0.6)])),
        cliff=float(random.choice([0.0, 0.7])),
        interactions=float(random.uniform(0.0, 1.0)),
        partners=int(random.integers(1, 4)),
        rarity=float(random.choice([0.0, random.uniform(0.0, 1.5)])),
        steepness=float(random.uniform(0.5, 3.0)),
        easiness=float(random.uniform(-1.0, 4.0)),
        cost_worth=float(random.uniform(0.0, 4.0)),
        best_error=float(random.choice([0.005, 0.05, 0.25])),
        noise=float(random.choice([0.0, 0.01, 0.03, 0.08])),
        trainings=int(random.integers(1, 4)),
        absent=absent,
    )


def synthetic_table(traits: Traits, random: np.random.Generator) -> SyntheticTable:
    """A table with these traits."""
    values = _combinations(traits, random)
    costs = _costs(traits, values, random)
    position = _standardised(np.log(costs))
    span = max(float(np.ptp(position)), 1e-9)
    alone, together = _main_effects(traits, values, random), _interactions(traits, values, random)
    share = traits.interactions
    quality = _standardised(math.sqrt(1 - share) * alone + math.sqrt(share) * together)
    if traits.rarity > 0:
        quality = _standardised(np.exp(traits.rarity * quality))
    quality = _standardised(quality + traits.cost_worth * (position - position.min()) / span)
    logits = -traits.steepness * quality - traits.easiness
    errors = traits.best_error + (CHANCE_ERROR - traits.best_error) / (1 + np.exp(-logits))
    failing = _failing(traits, values, quality, random)
    errors[failing] = CHANCE_ERROR * (1 - 0.03 * random.random(int(failing.sum())))
    scatter = traits.noise * random.standard_normal((len(errors), traits.trainings))
    return SyntheticTable(values, traits.ordered, costs, np.minimum(errors[:, None] * np.exp(scatter), 1.0))


def write_table(table: SyntheticTable, path: Path) -> None:
    """As search_quality reads it."""
    choices = [f"choice_{index:02}" for index in range(table.values.shape[1])]
    runs = [f"accuracy_run{index + 1}" for index in range(table.errors.shape[1])]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*choices, "flops", *runs])
        for row, cost, errors in zip(table.values, table.costs, table.errors, strict=True):
            names = [str(value) if ordered else f"v{value}" for value, ordered in zip(row, table.ordered, strict=True)]
            writer.writerow([*names, f"{cost:.0f}", *(f"{100 * (1 - error):.4f}" for error in errors)])


def _combinations(traits: Traits, random: np.random.Generator) -> Codes:
    """[N, C] distinct combinations, in no order."""
    full = math.prod(traits.sizes)
    count = max(2, min(MOST_NETWORKS, round(full * (1 - traits.absent))))
    chosen = random.permutation(full)[:count]
    return np.stack(np.unravel_index(chosen, traits.sizes), axis=1).astype(np.int64)


def _costs(traits: Traits, values: Codes, random: np.random.Generator) -> Array:
    """Each of some choices adds to the cost, more for a higher value where it is ordered."""
    total = np.ones(len(values))
    for choice in random.permutation(len(traits.sizes))[: traits.cost_choices]:
        added = random.gamma(1.0, 2.0, traits.sizes[choice])
        if traits.ordered[choice]:
            added.sort()
        total += added[values[:, choice]]
    if traits.cost_levels is not None:
        logarithms = np.log(total)
        edges = np.linspace(logarithms.min(), logarithms.max(), traits.cost_levels + 1)[1:-1]
        steps = np.sort(random.random(traits.cost_levels))
        total = np.exp(3 * steps[np.searchsorted(edges, logarithms)])
    return np.round(1e5 * total)


def _effect(ordered: bool, size: int, random: np.random.Generator) -> Array:
    """What each value of a choice is worth: a parabola about its best value, or anything."""
    if ordered:
        best = random.uniform(-0.2, 1.2)
        return np.asarray(-((np.linspace(0, 1, size) - best) ** 2) * 4 + 0.1 * random.standard_normal(size))
    return np.asarray(random.standard_normal(size))


def _main_effects(traits: Traits, values: Codes, random: np.random.Generator) -> Array:
    total = np.zeros(len(values))
    for choice, (size, ordered) in enumerate(zip(traits.sizes, traits.ordered, strict=True)):
        # A few choices matter most.
        total += random.gamma(0.7) * _effect(ordered, size, random)[values[:, choice]]
    return _standardised(total)


def _interactions(traits: Traits, values: Codes, random: np.random.Generator) -> Array:
    total = np.zeros(len(values))
    count = len(traits.sizes)
    for choice in range(count):
        others = random.permutation([other for other in range(count) if other != choice])[: traits.partners]
        total += random.gamma(0.7) * _joint_effect(traits, values, [choice, *others.tolist()], random)
    return _standardised(total)


def _joint_effect(traits: Traits, values: Codes, choices: Sequence[int], random: np.random.Generator) -> Array:
    """A value for each combination of these choices; along those that are ordered it is smooth."""
    effects = random.standard_normal([traits.sizes[choice] for choice in choices])
    for axis, choice in enumerate(choices):
        if traits.ordered[choice] and traits.sizes[choice] > 2:
            places = np.arange(traits.sizes[choice])
            reach = traits.sizes[choice] / 3
            smoothing = np.exp(-0.5 * ((places[:, None] - places) / reach) ** 2)
            effects = np.moveaxis(np.tensordot(smoothing, effects, axes=(1, axis)), 0, axis)
    return _standardised(effects)[tuple(values[:, choice] for choice in choices)]


def _failing(traits: Traits, values: Codes, quality: Array, random: np.random.Generator) -> NDArray[np.bool_]:
    """[N] those of the highest strain, which combinations of two choices bring about."""
    if traits.failing == 0:
        return np.zeros(len(values), dtype=bool)
    strain = np.zeros(len(values))
    for _ in range(2):
        pair = random.permutation(len(traits.sizes))[:2].tolist()
        strain += _joint_effect(traits, values, pair, random)
    strain = _standardised(strain) + traits.cliff * quality + 1e-6 * random.standard_normal(len(values))
    return np.asarray(strain > np.quantile(strain, 1 - traits.failing))


def _standardised(values: Array) -> Array:
    spread = float(values.std())
    return (values - values.mean()) / (spread if spread > 1e-12 else 1.0)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=12)
    options = parser.parse_args(list(arguments))
    options.out.mkdir(parents=True, exist_ok=True)
    for seed in range(options.first_seed, options.first_seed + options.count):
        random = np.random.default_rng(seed)
        traits = drawn_traits(random)
        path = options.out / f"synthetic-{seed:04}.csv"
        write_table(synthetic_table(traits, random), path)
        described = ", ".join(f"{name}={value}" for name, value in asdict(traits).items())
        print(f"{path.name}: {described}")


if __name__ == "__main__":
    main(sys.argv[1:])
