"""Several searches beside each other: whether they can be, their hypervolumes in one box, and what differs. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from statistics import median
from typing import Any

from nas.records.front import finished, front_hypervolume
from nas.records.pareto import Point, box_volume, hypervolume
from nas.records.search_facts import SearchFacts
from nas.records.trial import TrialRecord
from search_spaces.errors import UserError
from trainers.data.fingerprint import DataFingerprint, summary_differences

# What must be the same for costs and accuracies to mean the same, and what of it is said.
SAME = {
    "search.objectives": "objectives",
    "search.inference_batch": "images a measured batch",
    "data.name": "data set",
    "data.validation_fraction": "share of validation images",
    "data.split_seed": "split of validation images",
}
# In these, searches that differ in nothing else are the same search again.
SEED = "search.seed"
_OF_NO_ACCOUNT = (SEED, "data.root", "data.cache", "data.loader_workers", "search.keep_checkpoints")
# The chance at which a difference of chance is called real.
SIGNIFICANCE = 0.05


@dataclass(frozen=True, slots=True)
class ComparedSearch:
    """A search as it is compared: its settings by their full names, and what its images are known by, if anything."""

    facts: SearchFacts
    records: Sequence[TrialRecord]
    settings: Mapping[str, Any]
    fingerprint: DataFingerprint | None

    @property
    def name(self) -> str:
        return self.facts.name


@dataclass(frozen=True, slots=True)
class Group:
    """Searches that differ in their seed alone, and several hypervolumes of the same, where there are.

    `left_out` are those whose seed another one has, which are no other sample.
    """

    names: tuple[str, ...]
    hypervolumes: tuple[float, ...]
    of_replicates: bool
    left_out: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return ", ".join(self.names)


@dataclass(frozen=True, slots=True)
class Difference:
    """Two groups compared by the two-sided Mann-Whitney U test of their hypervolumes.

    `gained` is the median of `one` less that of `other`, `p` the chance of such ranks if nothing differs, times the
    number of comparisons that are left, as Holm has it, and `least_p` the least that so few hypervolumes could show.
    """

    one: Group
    other: Group
    gained: float
    p: float
    least_p: float

    @property
    def is_real(self) -> bool:
        return self.p < SIGNIFICANCE


def check_comparable(searches: Sequence[ComparedSearch]) -> list[str]:
    """What has to be kept in mind of a comparison. Raises UserError where the searches cannot be compared."""
    first, *others = searches
    notes = []
    for other in others:
        for key, what in SAME.items():
            if key == "search.inference_batch" and not _on_latency(first) and not _on_latency(other):
                continue
            mine, theirs = first.settings[key], other.settings[key]
            if mine != theirs:
                raise UserError(
                    f"searches {first.name!r} and {other.name!r} cannot be compared: the {what} of the one is "
                    f"{mine!r}, of the other {theirs!r} ({key})."
                )
        if first.fingerprint is None or other.fingerprint is None:
            unknown = first if first.fingerprint is None else other
            notes.append(f"{unknown.name} kept no fingerprint of its images: not compared with the others'")
        elif differing := summary_differences(first.fingerprint, other.fingerprint):
            raise UserError(
                f"searches {first.name!r} and {other.name!r} cannot be compared, their images are not the same "
                f"({first.name} then, {other.name} now): {'; '.join(differing)}."
            )
    epochs = {search.facts.full_epochs for search in searches}
    if len(epochs) > 1:
        listed = ", ".join(f"{search.facts.full_epochs} in {search.name}" for search in searches)
        notes.append(f"accuracies are after different numbers of epochs: {listed}")
    return list(dict.fromkeys(notes))


def _on_latency(search: ComparedSearch) -> bool:
    return "latency_ms" in search.facts.cost_names


def common_box(searches: Sequence[ComparedSearch]) -> Point:
    """The reference that holds for all: the least of their least accuracies, and of each cost the most."""
    accuracies, *costs = zip(*(search.facts.reference for search in searches), strict=True)
    return min(accuracies), *map(max, costs)


def groups(searches: Sequence[ComparedSearch], box: Point) -> list[Group]:
    """The searches that differ in their seeds alone together, in the order of the first of each."""
    found: dict[str, list[ComparedSearch]] = {}
    for search in searches:
        key = repr(sorted((key, value) for key, value in search.settings.items() if key not in _OF_NO_ACCOUNT))
        found.setdefault(key, []).append(search)
    return [_group(several, box) for several in found.values()]


def _group(searches: Sequence[ComparedSearch], box: Point) -> Group:
    first_of: dict[Any, ComparedSearch] = {}
    for search in searches:
        first_of.setdefault(search.settings[SEED], search)
    counted = list(first_of.values())
    names = tuple(search.name for search in counted)
    left_out = tuple(search.name for search in searches if search.name not in names)
    if len(counted) > 1:
        volumes = tuple(front_hypervolume(search.records, box) for search in counted)
        return Group(names, volumes, False, left_out)
    volumes = replicate_hypervolumes(counted[0].records, box)
    return Group(names, volumes or (front_hypervolume(counted[0].records, box),), bool(volumes), left_out)


def replicate_hypervolumes(records: Sequence[TrialRecord], box: Point) -> tuple[float, ...]:
    """Of a search that repeats its trainings the hypervolume of all first ones, of all second ones, and so on.

    Of the architectures that were trained most often alone. Empty where nothing was repeated.
    """
    repeated = [record for record in finished(records) if record.repeats]
    if not repeated:
        return ()
    times = max(len(record.repeats) for record in repeated)
    whole = [record for record in repeated if len(record.repeats) == times]
    return tuple(
        hypervolume([(record.repeats[index], *record.point[1:]) for record in whole], box) / box_volume(box)
        for index in range(times)
    )


def differences(compared: Sequence[Group]) -> list[Difference]:
    """Every two groups that have several hypervolumes each."""
    pairs = list(combinations([group for group in compared if len(group.hypervolumes) > 1], 2))
    # It takes as long to load as a whole report does to write.
    from scipy.stats import mannwhitneyu

    ps = [float(mannwhitneyu(one.hypervolumes, other.hypervolumes).pvalue) for one, other in pairs]
    adjusted = holm(ps)
    return [
        Difference(
            one, other, median(one.hypervolumes) - median(other.hypervolumes), p,
            min(1.0, 2 / comb(len(one.hypervolumes) + len(other.hypervolumes), len(one.hypervolumes))),
        )
        for (one, other), p in zip(pairs, adjusted, strict=True)
    ]  # fmt: skip


def holm(ps: Sequence[float]) -> list[float]:
    """The chances of several tests, adjusted for there being several (Holm, 1979)."""
    order = sorted(range(len(ps)), key=lambda index: ps[index])
    adjusted, highest = [0.0] * len(ps), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = highest
    return adjusted
