"""What to search for, how, and when to stop: frozen settings, checked, without any framework."""

import dataclasses
import math
import re
from dataclasses import dataclass, field
from typing import Any

from nas.records.cost_limits import CostLimits
from nas.records.objectives import ACCURACY, COSTS, CostName, costs_of
from search_spaces.errors import UserError, unknown_name
from search_spaces.json_fields import read_dataclass
from search_spaces.overrides import COUNT
from trainers.data.config import MOST_SEEDS

SAMPLERS = ("ehvi", "tpe", "nsga2", "random")
SCHEDULERS = ("pareto", "asha", "none")
KEPT_CHECKPOINTS = ("front", "all", "none")

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """What to search for and when to stop.

    - `trials` is the number of architectures that are trained, `epochs` that of the epochs of all trials together, and
      `time_budget` a duration as `90s`, `30m`, `12h` or `2d`: whichever comes first ends the search. `stagnation` ends
      it after so many architectures that brought nothing.
    - `sampler` is what proposes architectures, `prior` the earlier searches whose results inform it.
    - `scheduler` is what stops and promotes trials: at `minimum_epochs`, the first rung, and at rungs each
      `reduction_factor` times as far.
    - `objectives` are accuracy and then what it is weighed against: FLOPs, latency, parameters, or several of them.
    - `max_flops`, of one image, and `max_params` are what a network may have to be trained; `min_accuracy` and
      `max_latency_ms` are what counts as a result.
    - `replicates` is the number of trainings of each architecture that is trained to the end, `confirm_front` that of
      each member of the front.
    - `inference_batch` is the number of images at which latency and memory are measured.
    - `hung_after` is the duration without progress after which a trial is hung; None is many times what its epochs
      take. `checkpoint_minutes` is the time between two checkpoints within an epoch.
    - `keep_checkpoints` says which trials keep their weights once the search has ended: those of the front, all, none.
    - `inherit` has a new architecture trained for `inherited_epochs` first, from the weights of the trained one that
      shares most with it; what comes of that only tells whether it is trained from scratch.
    - `deterministic` has decisions depend on results alone, not on who is faster, nor on interruptions.

    Raises UserError where a value is out of range.
    """

    trials: int
    sampler: str
    scheduler: str
    minimum_epochs: int
    reduction_factor: int
    seed: int
    max_flops: float | None = field(metadata=COUNT)
    time_budget: str | None
    inference_batch: int
    min_accuracy: float | None
    epochs: int | None
    stagnation: int | None
    replicates: int
    confirm_front: int
    hung_after: str | None
    checkpoint_minutes: float
    keep_checkpoints: str
    objectives: tuple[str, ...]
    deterministic: bool
    prior: tuple[str, ...]
    max_params: float | None = field(metadata=COUNT)
    max_latency_ms: float | None
    inherit: bool

    def __post_init__(self) -> None:
        self._check("trials", self.trials >= 1, "at least 1; --plan says what a search would do, and trains nothing")
        self._check("minimum_epochs", self.minimum_epochs >= 1, "at least 1")
        self._check("reduction_factor", self.reduction_factor >= 2, "at least 2")
        self._check("seed", 0 <= self.seed < MOST_SEEDS, f"0 to {MOST_SEEDS - 1:,}")
        self._check("max_flops", self.max_flops is None or 0 < self.max_flops < math.inf, "a number above 0, as 4e9")
        self._check("max_params", self.max_params is None or 0 < self.max_params < math.inf, "a number above 0, as 5e6")
        if self.sampler not in SAMPLERS:
            raise unknown_name("search.sampler", self.sampler, SAMPLERS)
        if self.scheduler not in SCHEDULERS:
            raise unknown_name("search.scheduler", self.scheduler, SCHEDULERS)
        if self.keep_checkpoints not in KEPT_CHECKPOINTS:
            raise unknown_name("search.keep_checkpoints", self.keep_checkpoints, KEPT_CHECKPOINTS)
        self._check_objectives()
        if self.prior and self.sampler != "ehvi":
            raise UserError(f"search.sampler is {self.sampler!r}: expected 'ehvi', which alone learns from --prior.")
        if self.inherit and self.sampler != "ehvi":
            raise UserError(
                f"search.sampler is {self.sampler!r}: expected 'ehvi', which alone learns from search.inherit."
            )
        if self.inherit and self.minimum_epochs < 2:
            raise UserError(
                f"search.minimum_epochs is {self.minimum_epochs}: expected at least 2 with search.inherit, which takes "
                "half of them."
            )
        twice = next((name for name in self.prior if self.prior.count(name) > 1), None)
        if twice is not None:
            raise UserError(f"--prior {twice} is given twice: expected each search once.")
        milliseconds = self.max_latency_ms
        self._check("max_latency_ms", milliseconds is None or 0 < milliseconds < math.inf, "a number above 0, as 3.5")
        if milliseconds is not None and not self.on_latency:
            raise UserError(
                f"search.max_latency_ms is {milliseconds:g}: expected latency_ms among search.objectives, or no limit."
            )
        if self.deterministic and self.on_latency:
            raise UserError("search.deterministic is true: expected objectives that are counted, not measured latency.")
        accuracy = self.min_accuracy
        self._check("min_accuracy", accuracy is None or 0 <= accuracy < 1, "a share in [0, 1), as 0.7")
        self._check("epochs", self.epochs is None or self.epochs >= 1, "at least 1")
        self._check("stagnation", self.stagnation is None or self.stagnation >= 1, "at least 1")
        self._check("replicates", self.replicates >= 1, "at least 1")
        self._check("confirm_front", self.confirm_front >= 1, "at least 1")
        self._check("inference_batch", self.inference_batch >= 1, "at least 1")
        minutes = self.checkpoint_minutes
        self._check("checkpoint_minutes", 0 <= minutes < math.inf, "a number of at least 0")
        if self.time_budget is not None:
            duration_seconds(self.time_budget)
        if self.hung_after is not None:
            duration_seconds(self.hung_after, "search.hung_after")

    def _check_objectives(self) -> None:
        for name in self.objectives:
            if "memory" in name.lower():
                raise UserError(
                    f"search objective {name!r}: peak memory is measured of the front's members alone, at the end of a "
                    f"search; expected one of {', '.join((ACCURACY, *COSTS))}. `--pick max-memory=MB` picks by it."
                )
            if name not in (ACCURACY, *COSTS):
                raise unknown_name("search objective", name, (ACCURACY, *COSTS))
        costs = self.objectives[1:]
        if self.objectives[:1] != (ACCURACY,) or not costs or len(set(costs)) < len(costs) or ACCURACY in costs:
            raise UserError(
                f"search.objectives is [{', '.join(self.objectives)}]: expected {ACCURACY} and then one or more of "
                f"{', '.join(COSTS)}, each once, as [{ACCURACY}, flops] or [{ACCURACY}, flops, params]."
            )

    def _check(self, name: str, right: bool, expected: str) -> None:
        if not right:
            raise UserError(f"search.{name} is {getattr(self, name)!r}: expected {expected}.")

    def missed(self, val_accuracy: float, latency_ms: float | None) -> list[str]:
        """By which limits a result of this accuracy and latency does not count; it may be None where there is no limit
        on it."""
        limits = []
        if self.min_accuracy is not None and val_accuracy < self.min_accuracy:
            limits.append(f"search.min_accuracy={self.min_accuracy:g}")
        if self.max_latency_ms is not None and latency_ms is not None and latency_ms > self.max_latency_ms:
            limits.append(f"search.max_latency_ms={self.max_latency_ms:g}")
        return limits

    @property
    def cost_names(self) -> tuple[CostName, ...]:
        """What accuracy is weighed against."""
        return costs_of(self.objectives)

    @property
    def on_latency(self) -> bool:
        """Whether latency is among what accuracy is weighed against, so that each trial is measured first."""
        return "latency_ms" in self.objectives

    @property
    def limits(self) -> CostLimits:
        """What a network may cost at most, to be trained."""
        return CostLimits(self.max_flops, self.max_params)

    @property
    def inherited_epochs(self) -> int:
        """How long a network is trained from inherited weights: half as long as to the first rung."""
        return self.minimum_epochs // 2

    @property
    def time_budget_seconds(self) -> float | None:
        return None if self.time_budget is None else duration_seconds(self.time_budget)

    @property
    def hung_after_seconds(self) -> float | None:
        return None if self.hung_after is None else duration_seconds(self.hung_after, "search.hung_after")

    def to_json(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "objectives": list(self.objectives), "prior": list(self.prior)}

    @classmethod
    def from_json(cls, data: object) -> "SearchSettings":
        """The settings that `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        return read_dataclass(cls, data, "search")


def duration_seconds(text: str, name: str = "time budget") -> float:
    """Seconds in a duration such as `90s`, `30m`, `12h`, `2d` or `1h30m`. Raises UserError on anything else."""
    parts = _DURATION.findall(text)
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if _DURATION.sub("", text).strip() or seconds <= 0:
        raise UserError(f"{name} is {text!r}: expected a duration such as 90s, 30m, 12h or 1h30m.")
    return seconds
