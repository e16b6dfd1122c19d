"""Parameters by name, each one of a few values, as candidates: what a user's own space and cost become."""

import json
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from nas.strategy.candidates import Candidate
from search_spaces.space import Value

Parameters = Mapping[str, Any]


class ParameterCandidates:
    """Every combination of `values` whose cost is at most `most_cost` (nas.strategy.candidates.CandidateSource).

    `fixed` are parameters that are not to choose, whether or not their values are among those of the space. `wholes`
    are parameters beside which no other makes a difference: all combinations that hold one are one candidate. Those
    that hold one of `closed` are none.
    """

    def __init__(
        self,
        values: Mapping[str, Sequence[Any]],
        cost: Callable[[Parameters], float],
        most_cost: float,
        fixed: Parameters | None = None,
        wholes: Collection[Parameters] = (),
        closed: Collection[Parameters] = (),
    ) -> None:
        self._values = values
        self._cost = cost
        self._most_cost = most_cost
        self._fixed = dict(fixed or {})
        self._wholes, self._closed = self._by_names(wholes), self._by_names(closed)
        self.domains: Mapping[str, Sequence[Value]] = {
            name: [plain_value(value) for value in values] for name, values in self._values.items()
        }
        self._value_of = {(name, plain_value(value)): value for name in values for value in reversed(values[name])}

    def holding(
        self, fixed: Parameters, wholes: Collection[Parameters] = (), closed: Collection[Parameters] = ()
    ) -> "ParameterCandidates":
        """Those of the combinations that have the `fixed` parameters, with such `wholes` and `closed` ones."""
        return ParameterCandidates(self._values, self._cost, self._most_cost, fixed, wholes, closed)

    def choices(self, parameters: Parameters) -> dict[str, Value]:
        """The parameters of the space among these, in a form that JSON holds."""
        return {name: plain_value(parameters[name]) for name in self._values if name in parameters}

    def key(self, parameters: Parameters) -> str:
        """What tells these parameters from others: the key of their candidate."""
        return json.dumps(self.choices(parameters), sort_keys=True)

    def candidate(self, parameters: Parameters) -> Candidate:
        """Raises ValueError where the cost is no positive number, and whatever the user's cost function raises."""
        # A copy: what a user's function does to it is not what is tried.
        answer: Any = self._cost(dict(parameters))
        try:
            # An array of one number is one, as is what Decimal or a tensor holds; text never is.
            cost = float("nan") if isinstance(answer, str | bytes) else float(answer)
        except (TypeError, ValueError, RuntimeError, OverflowError):
            cost = float("nan")
        if not 0 < cost < float("inf"):
            raise ValueError(f"the cost of {dict(parameters)} is {answer!r}: expected a number above 0")
        return Candidate(self.key(parameters), self.choices(parameters), cost, cost)

    def parameters(self, choices: Mapping[str, Value]) -> dict[str, Any]:
        """The parameters of these choices; those that the space does not have (any more) are left out."""
        return {choice[0]: self._value_of[choice] for choice in choices.items() if choice in self._value_of}

    def cheap_sample(self, rng: random.Random, attempts: int) -> Candidate | None:
        """A random one, sought so often; None where nothing was found."""
        return next((found for _ in range(attempts) if (found := self.sample(rng)) is not None), None)

    def sample(self, rng: random.Random) -> Candidate | None:
        return self._affordable(self._drawn(rng))

    def mutate(self, candidate: Candidate, rng: random.Random) -> Candidate | None:
        """Draws one parameter anew, or a few, and those that the parent does not have or has of another space."""
        parameters = self._drawn(rng) | self.parameters(candidate.choices)
        names = sorted(parameters)
        while True:
            name = rng.choice(names)
            parameters[name] = rng.choice(self._values[name])
            if rng.random() < 0.5:
                return self._affordable(parameters)

    def _drawn(self, rng: random.Random) -> dict[str, Any]:
        return {name: rng.choice(values) for name, values in self._values.items()}

    def _affordable(self, parameters: Parameters) -> Candidate | None:
        whole = {**parameters, **self._fixed}
        if self._held(whole, self._closed) is not None:
            return None
        candidate = self.candidate(self._held(whole, self._wholes) or whole)
        return candidate if candidate.flops <= self._most_cost else None

    def _by_names(self, parts: Collection[Parameters]) -> dict[tuple[str, ...], set[str]]:
        """The keys of parts of combinations, by the names in them."""
        found: dict[tuple[str, ...], set[str]] = {}
        for part in parts:
            found.setdefault(tuple(sorted(part)), set()).add(self.key(part))
        return found

    def _held(self, parameters: Parameters, parts: Mapping[tuple[str, ...], set[str]]) -> dict[str, Any] | None:
        """The one of the parts that these parameters hold, if any."""
        for names, keys in parts.items():
            part = {name: parameters[name] for name in names}
            if self.key(part) in keys:
                return part
        return None


def plain_value(value: Any) -> Value:
    """A category as features know it; None and truth values are told apart by name."""
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else repr(value)
