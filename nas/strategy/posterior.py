"""The posterior of final accuracy, of trials and of what was never trained, and what training them may add.

Pure: plain trials in, expected improvements out. Nothing depends on the order of the trials or on the units of the
costs, which are FLOPs, parameters, or latency: measured for each trial, and predicted for what was not measured
(`nas.strategy.latency_model`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from nas.records.objectives import CostName
from nas.records.pareto import Point, front
from nas.strategy.active_set import active_set
from nas.strategy.candidate_costs import Costs, candidate_costs
from nas.strategy.candidates import Candidate
from nas.strategy.earlier_results import EarlierResults
from nas.strategy.error_scale import PLAIN, ErrorScale, compressing
from nas.strategy.expected_improvement import expected_hypervolume_improvement, regions_of
from nas.strategy.failures import Failures
from nas.strategy.features import FeatureEncoder
from nas.strategy.gaussian_process import Awaited, GaussianProcess
from nas.strategy.learning_curves import Curve, final_log_error, learn_steps

Array = NDArray[np.float64]

# The results of what is being trained are imagined so many times; an expected improvement is the mean over these.
FANTASIES = 8
# Of more trials that run at a time each is left out of the same imagined results rather than of its own.
MOST_ALONE = 128


@dataclass(frozen=True, slots=True)
class TrialView:
    """A trial as the decisions see it: `accuracies` of its epochs, from the first on, each in [0, 1].

    `latency_ms` is what it was measured to cost; None where latency is no cost, or is not known yet.
    "held" waits at a rung; "ended" is over short of the full budget; "failed" is, too, since it diverged or could not
    be trained. "inherited" was trained briefly from others' weights, to `inherited_accuracy`, which is none of its
    accuracies, and None where nothing came of it.
    """

    number: int
    candidate: Candidate
    accuracies: tuple[float, ...]
    status: Literal["running", "held", "finished", "ended", "failed", "inherited"]
    latency_ms: float | None = None
    inherited_accuracy: float | None = None


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


# The learning curves of trials as they were seen last, by their numbers.
SeenCurves = dict[int, tuple[TrialView, Curve]]


class Posterior:
    """The posterior given some trials, at least one of which has reached the first rung or its end.

    `compressed`: on the scale of `nas.strategy.error_scale` that compresses poor results. `before` is one of the same
    scale, encoder, objective and earlier results; where only what runs has changed since, its fit is taken over.
    `curves` are those of trials seen before, of the same objective.
    """

    def __init__(
        self,
        trials: Sequence[TrialView],
        encoder: FeatureEncoder,
        objective: Objective,
        seed: int,
        earlier: EarlierResults | None = None,
        *,
        compressed: bool = False,
        before: "Posterior | None" = None,
        curves: SeenCurves | None = None,
    ) -> None:
        self._encoder = encoder
        self._objective = objective
        self._seed = seed
        self._seen = observations(trials, objective, curves)
        self.costs = _costs(trials, encoder, objective.cost_names)
        means, variances = np.array([[mean, variance] for _, mean, variance in self._seen]).T
        self._scale = compressing(means) if compressed else PLAIN
        costs = self.costs([candidate for candidate, _, _ in self._seen])
        held = active_set(means, variances, costs, objective.log_error(objective.reference[0]))
        self._held: list[int] = held.tolist()
        candidates = [self._seen[index][0] for index in self._held]
        # Far from the front, so that training them on adds nothing.
        self._far = {candidate.key for candidate, _, _ in self._seen} - {candidate.key for candidate in candidates}
        means, variances = means[held], variances[held]
        self._process: GaussianProcess
        self._earlier: EarlierResults | None
        # Used or not: `_earlier` is None where it was not.
        self._given = earlier
        same_seen = before is not None and before._seen == self._seen and before._held == self._held
        if before is not None and same_seen and before._given is earlier:
            self._process, self._earlier = before._process, before._earlier
        else:
            features = encoder.encode(candidates)
            self._process, self._earlier = _fitted(encoder, features, means, variances, earlier, self._scale)
        accuracies = self._accuracies(self._process.observed_means()[: len(held)])
        points = _points(accuracies, costs[held])
        self.promising = [candidates[index] for index in front(points)] + self._promising_elsewhere()
        # Trained to the end, by what the Gaussian process makes of their results: a lucky run is not taken at its word.
        finished = [point for point, variance in zip(points, variances, strict=True) if variance == 0]
        self._finished = [finished[index] for index in front(finished)]
        self._failed = _failed(trials)
        if before is not None and same_seen and before._failed == self._failed and "_failures" in vars(before):
            self._failures = before._failures
        running = {trial.candidate.key: trial.candidate for trial in trials if trial.status == "running"}
        self._pending = [running[key] for key in sorted(running)]

    @property
    def many_run(self) -> bool:
        """Whether so many trials run that they are not imagined anew for each of them that is in question."""
        return len(self._pending) > MOST_ALONE

    def probabilities_below(self, candidates: Sequence[Candidate], log_errors: Array) -> Array:
        """[M, T] probabilities that one full training of each candidate ends below each of T log errors."""
        mean, variance = self._process.predict(self._features(candidates))
        deviation = np.sqrt(variance + self._process.noise_variance)
        return np.asarray(ndtr((self._scale.compressed(log_errors) - mean[:, None]) / deviation[:, None]))

    def chances_of_success(self, candidates: Sequence[Candidate]) -> Array:
        """[M] how likely each of some candidates can be trained to its end, by what could not be so far."""
        if self._failures is None:
            return np.ones(len(candidates))
        return self._failures.chances_of_success(self._encoder.encode(candidates))

    @cached_property
    def _failures(self) -> Failures | None:
        failed = {candidate.key for candidate in self._failed}
        trained = [self._seen[index][0] for index in self._held if self._seen[index][0].key not in failed]
        if not failed or not trained:
            return None
        return Failures(self._encoder.encode(self._failed), self._encoder.encode(trained), self._encoder.groups)

    def expected_improvements(self, candidates: Sequence[Candidate], leaving_out: str | None = None) -> Array:
        """[M] expected improvements of training `candidates` to the end, beyond what is being trained already.

        `leaving_out` is the key of a running candidate that is itself in question. What is known to be far from the
        front, of so many results that the Gaussian process does not hold it, adds nothing.
        """
        if not self._far:
            return self._improvements(candidates, leaving_out)
        total = np.zeros(len(candidates))
        near = [index for index, candidate in enumerate(candidates) if candidate.key not in self._far]
        if near:
            total[near] = self._improvements([candidates[index] for index in near], leaving_out)
        return total

    def _improvements(self, candidates: Sequence[Candidate], leaving_out: str | None) -> Array:
        features = self._features(candidates)
        costs = self.costs(candidates)
        reference = self._objective.reference
        pending = [candidate for candidate in self._pending if candidate.key != leaving_out]
        if not pending:
            mean, variance = self._process.predict(features)
            regions = regions_of(self._finished, reference)
            return expected_hypervolume_improvement(mean, variance, costs, regions, self._scale)
        awaited = self._all_awaited if len(pending) == len(self._pending) else self._awaited(pending)
        means, variance = self._process.fantasies(awaited, features)
        pending_costs = self.costs(pending)
        total = np.zeros(len(candidates))
        for draw, mean in zip(self._accuracies(awaited.draws), means, strict=True):
            regions = regions_of([*self._finished, *_points(draw, pending_costs)], reference)
            total += expected_hypervolume_improvement(mean, variance, costs, regions, self._scale)
        return total / len(awaited.draws)

    @cached_property
    def _all_awaited(self) -> Awaited:
        return self._awaited(self._pending)

    def _awaited(self, pending: Sequence[Candidate]) -> Awaited:
        return self._process.awaited(self._features(pending), FANTASIES, np.random.default_rng(self._seed))

    def improvements_in_question(self, running: Sequence[Candidate]) -> Array:
        """[M] expected improvements of each of some running candidates, as if it alone were not being trained yet."""
        if not self.many_run:
            alone = [self.expected_improvements([candidate], leaving_out=candidate.key)[0] for candidate in running]
            return np.array(alone, dtype=np.float64)
        near = [candidate.key for candidate in running if candidate.key not in self._far]
        found = dict(zip(near, self._without_each(near), strict=True))
        return np.array([found.get(candidate.key, 0.0) for candidate in running], dtype=np.float64)

    def _without_each(self, keys: Sequence[str]) -> Array:
        """The same of those pending of these keys, all in one: each as the others' results, once imagined, have it."""
        place = {candidate.key: index for index, candidate in enumerate(self._pending)}
        asked = np.array([place[key] for key in keys], dtype=np.int64)
        costs = self.costs(self._pending)
        means, variances = self._process.each_from_the_others(self._all_awaited)
        total = np.zeros(len(asked))
        first = len(self._finished)
        for draw, mean in zip(self._accuracies(self._all_awaited.draws), means, strict=True):
            points = [*self._finished, *_points(draw, costs)]
            shape = {index - first for index in front(points)}
            # Without one that is not on the imagined front this is what it was.
            groups = [[index for index in range(len(asked)) if asked[index] not in shape]]
            groups += [[index] for index in range(len(asked)) if asked[index] in shape]
            for group in filter(None, groups):
                left_out = first + asked[group[0]]
                regions = regions_of([*points[:left_out], *points[left_out + 1 :]], self._objective.reference)
                which = asked[group]
                total[group] += expected_hypervolume_improvement(
                    mean[which], variances[which], costs[which], regions, self._scale
                )
        return total / len(means)

    def _promising_elsewhere(self) -> list[Candidate]:
        """Those candidates of earlier searches that are believed to be on a front here."""
        if self._earlier is None:
            return []
        candidates = self._earlier.candidates
        accuracies = self._accuracies(self._process.predict(self._features(candidates))[0])
        return [candidates[index] for index in front(_points(accuracies, self.costs(candidates)))]

    def _accuracies(self, log_errors: Array) -> Array:
        """Those of log errors on the scale of the Gaussian process."""
        return np.asarray(1 - np.exp(self._scale.expanded(log_errors)))

    def _features(self, candidates: Sequence[Candidate]) -> Array:
        features = self._encoder.encode(candidates)
        return features if self._earlier is None else self._earlier.of_this_search(features)


def _fitted(
    encoder: FeatureEncoder,
    features: Array,
    log_errors: Array,
    variances: Array,
    earlier: EarlierResults | None,
    scale: ErrorScale,
) -> tuple[GaussianProcess, EarlierResults | None]:
    """The process of what was observed, on `scale`, and the earlier results that are used in it."""
    variances = scale.compressed_variances(log_errors, variances)
    process = GaussianProcess(features, encoder.groups, scale.compressed(log_errors), variances)
    # What other searches found is used as long as it foretells this one's results better than they do one another.
    if earlier is not None:
        alone = process.leave_one_out_log_density(len(features))
        informed = earlier.process(features, log_errors, variances, scale)
        if informed.leave_one_out_log_density(len(features)) > alone:
            return informed, earlier
    return process, None


def _costs(trials: Sequence[TrialView], encoder: FeatureEncoder, names: Sequence[CostName]) -> Costs:
    """What candidates cost, by what the trials were measured to."""
    in_order = sorted(trials, key=lambda trial: trial.number)
    measured = [(trial.candidate, trial.latency_ms) for trial in in_order if trial.latency_ms is not None]
    return candidate_costs(names, measured, encoder)


def _failed(trials: Sequence[TrialView]) -> list[Candidate]:
    """What failed whenever it was tried, in the order of its keys."""
    trained = {trial.candidate.key for trial in trials if trial.status != "failed" and trial.accuracies}
    failed = {trial.candidate.key: trial.candidate for trial in trials if trial.status == "failed"}
    return [failed[key] for key in sorted(failed) if key not in trained]


def _points(accuracies: Array, costs: Array) -> list[Point]:
    """Points of [N] accuracies and [N, C] costs."""
    return [(accuracy, *rest) for accuracy, rest in zip(accuracies.tolist(), costs.tolist(), strict=True)]


def observations(
    trials: Sequence[TrialView], objective: Objective, known: SeenCurves | None = None
) -> list[tuple[Candidate, float, float]]:
    """(candidate, mean, variance) of the final log error of every trial that has one or has reached a rung.

    Several trainings of one architecture make one observation, from those that went furthest. Sorted by value. `known`
    holds the curves of trials that were seen before, and takes in those that were not.
    """
    levels = (*objective.rungs, objective.epochs)
    seen = {} if known is None else known
    curves: list[tuple[Candidate, Curve]] = []
    for trial in trials:
        if len(trial.accuracies) < levels[0]:
            continue
        before = seen.get(trial.number)
        if before is None or before[0] is not trial:
            before = seen[trial.number] = trial, _curve(trial, levels, objective)
        curves.append((trial.candidate, before[1]))
    curves.sort(key=lambda item: (item[1].log_errors, item[0].key))
    steps = learn_steps([curve for _, curve in curves], levels)
    merged: dict[str, list[tuple[Candidate, float, float]]] = {}
    for candidate, curve in curves:
        merged.setdefault(candidate.key, []).append((candidate, *final_log_error(curve, steps)))
    means = []
    for repeats in merged.values():
        if len(repeats) == 1:
            means += repeats
            continue
        least = min(variance for _, _, variance in repeats)
        furthest = [mean for _, mean, variance in repeats if variance == least]
        means.append((repeats[0][0], sum(furthest) / len(furthest), least))
    return sorted(means, key=lambda item: (item[1], item[0].key))


def _curve(trial: TrialView, levels: Sequence[int], objective: Objective) -> Curve:
    reached = len(trial.accuracies)
    errors = tuple([objective.log_error(trial.accuracies[epoch - 1]) for epoch in levels if epoch <= reached])
    return Curve(errors, math.log(trial.candidate.flops))
