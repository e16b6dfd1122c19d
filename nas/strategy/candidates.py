"""What may be trained, as the proposals see it: candidates with their exact costs, drawn or changed."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from nas.records.cost_limits import NO_LIMITS, CostLimits
from search_spaces.architecture import Architecture
from search_spaces.space import Pick, Space, Value
from search_spaces.space_cost import Counted, cheapest_architecture
from trainers.data.config import DataSummary


@dataclass(frozen=True, slots=True)
class Candidate:
    """An architecture as the proposals see it. `key` tells it from others; a choice that does not apply is not there.

    `flops` and `params` are exact and positive; both are used on a logarithmic scale only, so their units do not
    matter.
    """

    key: str
    choices: Mapping[str, Value]
    flops: float
    params: float


class CandidateSource(Protocol):
    """A space as the proposals see it. Only what may be trained comes out of it; None is a failed attempt."""

    @property
    def domains(self) -> Mapping[str, Sequence[Value]]:
        """The values of every choice, by its name."""

    def sample(self, rng: random.Random) -> Candidate | None:
        """A random candidate."""

    def mutate(self, candidate: Candidate, rng: random.Random) -> Candidate | None:
        """A candidate that differs in one or a few choices."""


class SpaceCandidates:
    """The architectures of `space` that may be trained: those that are within `limits` on this data."""

    def __init__(self, space: Space, data: DataSummary, limits: CostLimits = NO_LIMITS) -> None:
        self._space = space
        self._data = data
        self._limits = limits
        self._domains = choice_domains(space)
        # What brings a candidate within each limit, by the choices of the cheapest.
        self._cheapest: list[tuple[CostLimits, Mapping[str, Value]]] = []
        if limits.flops is not None or limits.params is None:
            self._cheapest.append((CostLimits(flops=limits.flops), self._cheapest_choices("flops")))
        if limits.params is not None:
            self._cheapest.append((CostLimits(params=limits.params), self._cheapest_choices("params")))

    def _cheapest_choices(self, counted: Counted) -> Mapping[str, Value]:
        data = self._data
        size = {"image_size": data.image_size, "in_channels": data.in_channels, "classes": data.classes}
        return self.candidate(cheapest_architecture(self._space, counted, **size)).choices

    @property
    def domains(self) -> Mapping[str, Sequence[Value]]:
        return self._domains

    def sample(self, rng: random.Random) -> Candidate | None:
        """A random candidate; where that is over a limit, with as many choices of the cheapest as bring it within."""
        candidate = self._decided(lambda name, values: rng.choice(values))
        for limit, choices in self._cheapest:
            cheap = list(choices.items())
            rng.shuffle(cheap)
            if not limit.allow(candidate.flops, candidate.params):
                candidate = self._brought_within(limit, candidate, cheap, rng)
        return candidate if self._affordable(candidate) else None

    def _brought_within(
        self, limit: CostLimits, candidate: Candidate, cheap: Sequence[tuple[str, Value]], rng: random.Random
    ) -> Candidate:
        """A candidate that is over a limit, with as many of the cheapest choices as bring it within.

        How many it takes is found by halving: near the cheapest it is most of them, and each try is counted.
        """
        found, too_few, enough = None, 0, len(cheap)
        while found is None or enough - too_few > 1:
            number = enough if enough - too_few == 1 else (too_few + enough) // 2
            changed = self._preferring({**candidate.choices, **dict(cheap[:number])}, rng)
            if number == len(cheap) or limit.allow(changed.flops, changed.params):
                found, enough = changed, number
            else:
                too_few = number
        return found

    def mutate(self, candidate: Candidate, rng: random.Random) -> Candidate | None:
        """Draws one choice anew, or a few (each further one half as likely), and what follows from them."""
        changed = self._changed(candidate, rng)
        return changed if self._affordable(changed) else None

    def _changed(self, candidate: Candidate, rng: random.Random) -> Candidate:
        wanted = dict(candidate.choices)
        changeable = sorted(name for name in wanted if name in self._domains)
        while changeable:
            name = rng.choice(changeable)
            wanted[name] = rng.choice(self._domains[name])
            if rng.random() < 0.5:
                break

        return self._preferring(wanted, rng)

    def _preferring(self, wanted: Mapping[str, Value], rng: random.Random) -> Candidate:
        """The candidate with these choices where they can be had, and random ones elsewhere."""

        def pick(name: str, values: Sequence[Value]) -> Value:
            value = wanted.get(choice_name(name))
            return value if value is not None and value in values else rng.choice(values)

        return self._decided(pick)

    def candidate(self, architecture: Architecture) -> Candidate:
        """An architecture of the space as a candidate, whatever it costs."""
        choices = {choice_name(name): value for name, value in self._space.choices_of(architecture).items()}
        cost = self._data.cost(architecture)
        return Candidate(architecture.id, choices, float(cost.flops), float(cost.params))

    def architecture(self, candidate: Candidate) -> Architecture:
        return self._space.decide(lambda name, values: candidate.choices[choice_name(name)])

    def _affordable(self, candidate: Candidate) -> bool:
        return self._limits.allow(candidate.flops, candidate.params)

    def _decided(self, pick: Pick) -> Candidate:
        choices: dict[str, Value] = {}

        def note(name: str, values: Sequence[Value]) -> Value:
            value = choices[choice_name(name)] = pick(name, values)
            return value

        architecture = self._space.decide(note)
        cost = self._data.cost(architecture)
        return Candidate(architecture.id, choices, float(cost.flops), float(cost.params))


def choice_name(name: str) -> str:
    """A choice's name without the values that it is narrowed to: `stage1.heads` for `stage1.heads[1,2]`."""
    return name.partition("[")[0]


def choice_domains(space: Space) -> dict[str, tuple[Value, ...]]:
    """The values of every choice that leaves a choice, by its name."""
    domains: dict[str, tuple[Value, ...]] = {"stem": space.stem, "depth": space.depth, "width": space.width}
    for frame in space.frames():
        for slot in space.slots(frame):
            choices = space.stages[slot.stage]
            domains[f"{slot.name}.operator"] = choices.operator
            domains[f"{slot.name}.spatial_extent"] = choices.spatial_extent
            domains[f"{slot.name}.heads"] = choices.heads
            domains[f"{slot.name}.positional_encoding"] = choices.positional_encoding
    # An encoder needs something to tell apart even where everything is fixed.
    return {name: values for name, values in domains.items() if len(values) > 1} or {"stem": space.stem}
