"""The posterior of final accuracy, of trials and of what was never trained, and what training them may add.

Pure: plain trials in, expected improvements out. Nothing depends on the order of the trials or on the units of the
costs, which are FLOPs, parameters, or latency: measured for each trial, and predicted for what was not measured
(`nas.strategy.latency_model`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from nas.records.objectives import CostName
from nas.records.pareto import Point, front
from nas.strategy.candidate_costs import Costs, candidate_costs
from nas.strategy.candidates import Candidate
from nas.strategy.earlier_results import EarlierResults
from nas.strategy.expected_improvement import expected_hypervolume_improvement, regions_of
from nas.strategy.features import FeatureEncoder
from nas.strategy.gaussian_process import GaussianProcess
from nas.strategy.learning_curves import Curve, final_log_error, learn_steps

Array = NDArray[np.float64]

# The results of what is being trained are imagined so many times; an expected improvement is the mean over these.
FANTASIES = 8


@dataclass(frozen=True, slots=True)
class TrialView:
    """A trial as the decisions see it: `accuracies` of its epochs, from the first on, each in [0, 1].

    `latency_ms` is what it was measured to cost; None where latency is no cost, or is not known yet.
    "held" waits at a rung; "ended" is over short of the full budget, for whatever reason.
    """

    number: int
    candidate: Candidate
    accuracies: tuple[float, ...]
    status: Literal["running", "held", "finished", "ended"]
    latency_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Objective:
    """What is maximised: the hypervolume over `reference`, (least accuracy, most of each of the costs `cost_names`),
    after `epochs` of training.

    `rungs` are the epochs after which trials are decided upon. `resolution` is the least error that tells from none.
    """

    reference: Point
    epochs: int
    rungs: tuple[int, ...]
    resolution: float
    cost_names: tuple[CostName, ...] = ("flops",)

    def log_error(self, accuracy: float) -> float:
        return math.log(max(1.0 - accuracy, self.resolution))


class Posterior:
    """The posterior given some trials, at least one of which has reached the first rung or its end."""

    def __init__(
        self,
        trials: Sequence[TrialView],
        encoder: FeatureEncoder,
        objective: Objective,
        seed: int,
        earlier: EarlierResults | None = None,
    ) -> None:
        self._encoder = encoder
        self._objective = objective
        self._seed = seed
        seen = observations(trials, objective)
        candidates = [candidate for candidate, _, _ in seen]
        features = encoder.encode(candidates)
        means, variances = np.array([[mean, variance] for _, mean, variance in seen]).T
        self._process = GaussianProcess(features, encoder.groups, means, variances)
        # What other searches found is used as long as it foretells this one's results better than they do one another.
        self._earlier: EarlierResults | None = None
        if earlier is not None:
            alone = self._process.leave_one_out_log_density(len(seen))
            informed = earlier.process(features, means, variances)
            if informed.leave_one_out_log_density(len(seen)) > alone:
                self._process, self._earlier = informed, earlier
        accuracies = 1 - np.exp(self._process.observed_means()[: len(seen)])
        self.costs = _costs(trials, encoder, objective.cost_names)
        points = _points(accuracies, self.costs(candidates))
        self.promising = [candidates[index] for index in front(points)] + self._promising_elsewhere()
        # Trained to the end, by what the Gaussian process makes of their results: a lucky run is not taken at its word.
        finished = [point for point, variance in zip(points, variances, strict=True) if variance == 0]
        self._finished = [finished[index] for index in front(finished)]
        running = {trial.candidate.key: trial.candidate for trial in trials if trial.status == "running"}
        self._pending = [running[key] for key in sorted(running)]

    def probabilities_below(self, candidates: Sequence[Candidate], log_errors: Array) -> Array:
        """[M, T] probabilities that one full training of each candidate ends below each of T log errors."""
        mean, variance = self._process.predict(self._features(candidates))
        deviation = np.sqrt(variance + self._process.noise_variance)
        return np.asarray(ndtr((log_errors - mean[:, None]) / deviation[:, None]))

    def expected_improvements(self, candidates: Sequence[Candidate], leaving_out: str | None = None) -> Array:
        """[M] expected improvements of training `candidates` to the end, beyond what is being trained already.

        `leaving_out` is the key of a running candidate that is itself in question.
        """
        features = self._features(candidates)
        costs = self.costs(candidates)
        reference = self._objective.reference
        pending = [candidate for candidate in self._pending if candidate.key != leaving_out]
        if not pending:
            mean, variance = self._process.predict(features)
            return expected_hypervolume_improvement(mean, variance, costs, regions_of(self._finished, reference))
        random = np.random.default_rng(self._seed)
        draws, means, variance = self._process.fantasies(
            self._features(pending), features, FANTASIES, random
        )  # fmt: skip
        pending_costs = self.costs(pending)
        total = np.zeros(len(candidates))
        for draw, mean in zip(1 - np.exp(draws), means, strict=True):
            imagined = _points(draw, pending_costs)
            total += expected_hypervolume_improvement(
                mean, variance, costs, regions_of([*self._finished, *imagined], reference)
            )
        return total / len(draws)

    def _promising_elsewhere(self) -> list[Candidate]:
        """Those candidates of earlier searches that are believed to be on a front here."""
        if self._earlier is None:
            return []
        candidates = self._earlier.candidates
        accuracies = 1 - np.exp(self._process.predict(self._features(candidates))[0])
        return [candidates[index] for index in front(_points(accuracies, self.costs(candidates)))]

    def _features(self, candidates: Sequence[Candidate]) -> Array:
        features = self._encoder.encode(candidates)
        return features if self._earlier is None else self._earlier.of_this_search(features)


def _costs(trials: Sequence[TrialView], encoder: FeatureEncoder, names: Sequence[CostName]) -> Costs:
    """What candidates cost, by what the trials were measured to."""
    in_order = sorted(trials, key=lambda trial: trial.number)
    measured = [(trial.candidate, trial.latency_ms) for trial in in_order if trial.latency_ms is not None]
    return candidate_costs(names, measured, encoder)


def _points(accuracies: Array, costs: Array) -> list[Point]:
    """Points of [N] accuracies and [N, C] costs."""
    return [(accuracy, *rest) for accuracy, rest in zip(accuracies.tolist(), costs.tolist(), strict=True)]


def observations(trials: Sequence[TrialView], objective: Objective) -> list[tuple[Candidate, float, float]]:
    """(candidate, mean, variance) of the final log error of every trial that has one or has reached a rung.

    Several trainings of one architecture make one observation, from those that went furthest. Sorted by value.
    """
    levels = (*objective.rungs, objective.epochs)
    curves: list[tuple[Candidate, Curve]] = []
    for trial in trials:
        reached = [epoch for epoch in levels if epoch <= len(trial.accuracies)]
        if reached:
            errors = tuple(objective.log_error(trial.accuracies[epoch - 1]) for epoch in reached)
            curves.append((trial.candidate, Curve(errors, math.log(trial.candidate.flops))))
    curves.sort(key=lambda item: (item[1].log_errors, item[0].key))
    steps = learn_steps([curve for _, curve in curves], len(levels))
    merged: dict[str, list[tuple[Candidate, float, float]]] = {}
    for candidate, curve in curves:
        merged.setdefault(candidate.key, []).append((candidate, *final_log_error(curve, steps)))
    means = []
    for repeats in merged.values():
        least = min(variance for _, _, variance in repeats)
        furthest = [mean for _, mean, variance in repeats if variance == least]
        means.append((repeats[0][0], sum(furthest) / len(furthest), least))
    return sorted(means, key=lambda item: (item[1], item[0].key))
