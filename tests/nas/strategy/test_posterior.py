"""What a search believes of its trials: each result once, each at its own fidelity, in any order and unit."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import scipy.stats
from scipy.stats import spearmanr

from nas.records.objectives import CostName
from nas.records.pareto import dominates, hypervolume
from nas.strategy import active_set
from nas.strategy import posterior as posterior_module
from nas.strategy.candidates import Candidate, SpaceCandidates
from nas.strategy.earlier_results import EarlierResults, EarlierTask
from nas.strategy.error_scale import compressing
from nas.strategy.features import FeatureEncoder
from nas.strategy.gaussian_process import GaussianProcess
from nas.strategy.learning_curves import Curve, final_log_error, learn_steps
from nas.strategy.posterior import Objective, Posterior, SeenCurves, TrialView, observations
from nas.strategy.proposals import distinct
from tests.support.searches import DIGITS, shipped_space

SOURCE = SpaceCandidates(shipped_space(), DIGITS)
POOL = list(distinct(SOURCE.sample, 80, random.Random(0), ()).values())
OBJECTIVE = Objective((0.1, 1.1 * max(one.flops for one in POOL)), 9, (1, 3), 1e-3)
ENCODER = FeatureEncoder(SOURCE.domains, POOL)
STATUSES: tuple[Literal["running", "held", "finished", "ended"], ...] = (
    "finished",
    "finished",
    "held",
    "running",
    "ended",
)


def history(seed: int, count: int = 14) -> list[TrialView]:
    """Trials of every kind, in no order, with plausible curves; some tie."""
    rng = random.Random(seed)
    trials = []
    for number, candidate in enumerate(rng.sample(POOL, count)):
        end = 0.08 * math.log(candidate.flops) - 0.5 + rng.choice([0.0, 0.05, -0.1])
        status = STATUSES[number % len(STATUSES)]
        length = 9 if status == "finished" else rng.choice([1, 2, 3, 4])
        curve = tuple(round(end - 0.25 / epoch, 2) for epoch in range(1, length + 1))
        trials.append(TrialView(number, candidate, curve, status))
    return trials


def scaled(trials: Sequence[TrialView], unit: float) -> list[TrialView]:
    return [replace(trial, candidate=in_unit(trial.candidate, unit)) for trial in trials]


def in_unit(candidate: Candidate, unit: float) -> Candidate:
    return replace(candidate, flops=candidate.flops * unit)


def posterior(trials: Sequence[TrialView], unit: float = 1.0) -> Posterior:
    objective = replace(OBJECTIVE, reference=(OBJECTIVE.reference[0], OBJECTIVE.reference[1] * unit))
    encoder = FeatureEncoder(SOURCE.domains, [in_unit(one, unit) for one in POOL])
    return Posterior(trials, encoder, objective, seed=0)


@pytest.mark.parametrize("seed", range(3))
def test_each_trial_that_reached_a_rung_is_one_observation(seed: int) -> None:
    trials = history(seed)
    seen = {candidate.key: (mean, variance) for candidate, mean, variance in observations(trials, OBJECTIVE)}
    assert set(seen) == {trial.candidate.key for trial in trials}
    curves = {}
    for trial in trials:
        errors = [math.log(max(1 - trial.accuracies[e - 1], 1e-3)) for e in (1, 3, 9) if e <= len(trial.accuracies)]
        curves[trial.candidate.key] = Curve(tuple(errors), math.log(trial.candidate.flops))
    steps = learn_steps(list(curves.values()), (1, 3, 9))
    for trial in trials:
        expected = final_log_error(curves[trial.candidate.key], steps)
        assert seen[trial.candidate.key] == pytest.approx(expected)
        assert (expected[1] == 0) == (trial.status == "finished")


def test_before_the_first_rung_nothing_is_observed() -> None:
    late = replace(OBJECTIVE, rungs=(4,))
    trials = [TrialView(0, POOL[0], (0.5, 0.6, 0.7), "running"), TrialView(1, POOL[1], (), "ended")]
    assert observations(trials, late) == [] and observations([], OBJECTIVE) == []
    without_rungs = replace(OBJECTIVE, rungs=())
    assert observations([TrialView(0, POOL[0], (0.5,) * 8, "ended")], without_rungs) == []


def test_what_failed_tells_of_what_is_like_it() -> None:
    trials = history(0, 30)
    candidates = [trial.candidate for trial in trials]
    assert posterior(trials).chances_of_success(candidates).tolist() == [1.0] * 30
    # Whatever has attention in its stem fails, one of them after a rung, whose accuracies are known as before.
    fails = [candidate.choices["stem"] == "attention" for candidate in candidates]
    assert 5 < sum(fails) < 25
    failed = [
        replace(trial, status="failed", accuracies=trial.accuracies[: 3 if index % 2 else 0]) if fail else trial
        for index, (trial, fail) in enumerate(zip(trials, fails, strict=True))
    ]
    ended = [replace(trial, status="ended") if trial.status == "failed" else trial for trial in failed]
    others = [candidate for candidate in POOL if candidate not in candidates]
    found = posterior(failed)
    chances = dict(zip([one.key for one in others], found.chances_of_success(others), strict=True))
    by_stem = {
        stem: [chances[one.key] for one in others if (one.choices["stem"] == "attention") is stem]
        for stem in (True, False)
    }
    assert max(by_stem[True]) < min(by_stem[False]) and np.mean(by_stem[True]) < 0.4 and np.mean(by_stem[False]) > 0.6
    shuffled = random.Random(1).sample(failed, len(failed))
    np.testing.assert_array_equal(posterior(shuffled).chances_of_success(others), list(chances.values()))
    np.testing.assert_array_equal(found.expected_improvements(others), posterior(ended).expected_improvements(others))
    # Where only what runs has changed, it is worked out once.
    later = [*failed, TrialView(99, others[0], (), "running")]
    after = Posterior(later, ENCODER, OBJECTIVE, seed=0, before=found)
    assert after._failures is found._failures is not None
    # What was trained by another trial has not failed for what it is.
    again = [TrialView(100 + trial.number, trial.candidate, (0.5,) * 9, "finished") for trial in failed]
    assert posterior([*failed, *again]).chances_of_success(others).tolist() == [1.0] * len(others)


def test_no_error_at_all_is_the_resolution() -> None:
    assert OBJECTIVE.log_error(1.0) == math.log(1e-3) == OBJECTIVE.log_error(0.9999)
    assert OBJECTIVE.log_error(0.5) == math.log(0.5)


def test_several_trainings_of_one_architecture_are_their_mean() -> None:
    ends = (0.8, 0.9, 0.86)
    trials = [TrialView(number, POOL[0], (0.5,) * 8 + (end,), "finished") for number, end in enumerate(ends)]
    trials.append(TrialView(3, POOL[0], (0.99,), "running"))
    ((candidate, mean, variance),) = observations(trials, OBJECTIVE)
    assert (candidate, variance) == (POOL[0], 0)
    assert mean == pytest.approx(sum(math.log(1 - end) for end in ends) / 3)


@pytest.mark.parametrize("seed", range(2))
def test_the_order_of_the_trials_does_not_matter(seed: int) -> None:
    trials = history(seed)
    shuffled = random.Random(9).sample(trials, len(trials))
    assert observations(shuffled, OBJECTIVE) == observations(trials, OBJECTIVE)
    assert (
        posterior(shuffled).expected_improvements(POOL).tolist()
        == posterior(trials).expected_improvements(POOL).tolist()
    )
    assert posterior(shuffled).promising == posterior(trials).promising


@pytest.mark.parametrize("unit", [2.0**-30, 1e-9])
@pytest.mark.parametrize("statuses", [("finished", "held", "running"), ("held", "running")])
def test_the_unit_of_flops_does_not_matter(unit: float, statuses: tuple[str, ...]) -> None:
    """Also where nothing has gone far enough to learn a step from."""
    trials = [trial for trial in history(1) if trial.status in statuses]
    if "finished" not in statuses:
        trials = [replace(trial, accuracies=trial.accuracies[:1]) for trial in trials]
    here = posterior(trials).expected_improvements(POOL)
    there = posterior(scaled(trials, unit), unit).expected_improvements([in_unit(one, unit) for one in POOL])
    assert there / unit == pytest.approx(here, rel=1e-3, abs=1e-6 * here.max())
    assert there.argmax() == here.argmax()


def test_probabilities_are_those_of_one_noisy_training() -> None:
    trials = [trial for trial in history(2, count=30) if trial.status == "finished"]
    seen = observations(trials, OBJECTIVE)
    features = ENCODER.encode([candidate for candidate, _, _ in seen])
    log_errors = np.array([mean for _, mean, _ in seen])
    process = GaussianProcess(features, ENCODER.groups, log_errors, np.zeros(len(seen)))
    noise = process.hyperparameters.noise * log_errors.var()
    asked = np.linspace(-3, 0.5, 9)
    found = Posterior(trials, ENCODER, OBJECTIVE, seed=0).probabilities_below(POOL, asked)
    for row, mean, variance in zip(found, *process.predict(ENCODER.encode(POOL)), strict=True):
        assert row == pytest.approx(scipy.stats.norm(mean, math.sqrt(variance + noise)).cdf(asked), abs=1e-9)


@pytest.mark.parametrize("seed", range(2))
def test_on_the_compressed_scale_probabilities_are_those_of_what_is_compressed(seed: int) -> None:
    trials = [trial for trial in history(seed, count=30) if trial.status == "finished"]
    seen = observations(trials, OBJECTIVE)
    log_errors = np.array([mean for _, mean, _ in seen])
    scale = compressing(log_errors)
    targets = scale.compressed(log_errors)
    features = ENCODER.encode([candidate for candidate, _, _ in seen])
    process = GaussianProcess(features, ENCODER.groups, targets, np.zeros(len(seen)))
    noise = process.hyperparameters.noise * targets.var()
    asked = np.linspace(-3, 0, 9)
    found = Posterior(trials, ENCODER, OBJECTIVE, seed=0, compressed=True).probabilities_below(POOL, asked)
    for row, mean, variance in zip(found, *process.predict(ENCODER.encode(POOL)), strict=True):
        expected = scipy.stats.norm(mean, math.sqrt(variance + noise)).cdf(scale.compressed(asked))
        assert row == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("running", [False, True])
def test_the_gain_on_the_compressed_scale_is_the_mean_over_what_may_come_out(running: bool) -> None:
    """Of draws from the process, each as an accuracy, with nothing or what is imagined of something beside."""
    trials = [trial for trial in history(0, count=30) if trial.status == "finished"]
    asked, pending = [one for one in POOL if one.key not in {trial.candidate.key for trial in trials}][:2]
    some = Posterior(
        [*trials, *([TrialView(99, pending, (), "running")] if running else [])],
        ENCODER,
        replace(OBJECTIVE, rungs=()),
        seed=0,
        compressed=True,
    )
    seen = observations(trials, replace(OBJECTIVE, rungs=()))
    log_errors = np.array([mean for _, mean, _ in seen])
    scale = compressing(log_errors)
    features = ENCODER.encode([candidate for candidate, _, _ in seen])
    process = GaussianProcess(features, ENCODER.groups, scale.compressed(log_errors), np.zeros(len(seen)))
    known = [
        (accuracy, candidate.flops)
        for accuracy, (candidate, _, _) in zip(1 - np.exp(scale.expanded(process.observed_means())), seen, strict=True)
    ]
    gains = []
    imagined = process.awaited(ENCODER.encode([pending]), 8 if running else 1, np.random.default_rng(0))
    means, variance = process.fantasies(imagined, ENCODER.encode([asked]))
    if not running:
        means, variance = process.predict(ENCODER.encode([asked]))
    normal = np.random.default_rng(1).standard_normal(4000)
    for draw, mean in zip(imagined.draws, np.atleast_2d(means.reshape(-1, 1)), strict=True):
        beside = [*known, (1 - math.exp(scale.expanded(draw)[0]), pending.flops)] if running else known
        before = hypervolume(beside, OBJECTIVE.reference)
        outcomes = 1 - np.exp(scale.expanded(mean + np.sqrt(variance) * normal))
        gains += [hypervolume([*beside, (one, asked.flops)], OBJECTIVE.reference) - before for one in outcomes.tolist()]
    error = float(np.std(gains)) / math.sqrt(len(normal))
    assert some.expected_improvements([asked])[0] == pytest.approx(np.mean(gains), abs=5 * error + 1e-6)
    assert np.mean(gains) > 3 * error


def test_what_is_being_trained_is_gained_already() -> None:
    trials = [trial for trial in history(0) if trial.status == "finished"]
    rest = [one for one in POOL if one.key not in {trial.candidate.key for trial in trials}]
    before = posterior(trials).expected_improvements(rest)
    best = int(before.argmax())
    running = TrialView(99, rest[best], (), "running")
    after = posterior([*trials, running]).expected_improvements(rest)
    assert after[best] < 0.5 * before[best]
    spared = posterior([*trials, running]).expected_improvements(rest, leaving_out=rest[best].key)
    assert spared == pytest.approx(before)


def test_what_is_held_is_not_being_trained() -> None:
    trials = [trial for trial in history(0) if trial.status in ("finished", "held")]
    held = next(trial for trial in trials if trial.status == "held")
    running = [replace(trial, status="running") if trial is held else trial for trial in trials]
    improvements = [posterior(some).expected_improvements([held.candidate])[0] for some in (trials, running)]
    assert improvements[1] < improvements[0]


def few_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of very many results, of 40 already."""
    for name, value in (("MOST_EXACT", 30), ("ACTIVE", 24), ("NEAR_FRONT", 16)):
        monkeypatch.setattr(active_set, name, value)


def test_of_very_many_results_those_far_from_the_front_add_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    trials = history(0, count=50)
    candidates = [trial.candidate for trial in trials]
    exact = posterior(trials).expected_improvements(candidates)
    few_are_held(monkeypatch)
    some = posterior(trials)
    found = some.expected_improvements(candidates)
    assert (found == 0).sum() >= 50 - 24 > (exact == 0).sum()
    # What is left out had less to add, and what is held is much what it was.
    assert exact[found == 0].mean() < 0.5 * exact[found > 0].mean()
    assert spearmanr(found[found > 0], exact[found > 0])[0] > 0.5
    assert (some.expected_improvements(candidates[:1]) >= 0).all()
    assert some.expected_improvements([c for c, f in zip(candidates, found, strict=True) if f == 0]).tolist() == [
        0.0
    ] * int((found == 0).sum())


@pytest.mark.parametrize("few", [False, True])
def test_of_many_that_run_each_is_worth_what_it_is_without_itself(few: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In closed form from shared draws as by draws of its own, but for the draws."""
    trials = [replace(trial, status="running") if trial.status == "held" else trial for trial in history(1, count=50)]
    if few:
        few_are_held(monkeypatch)
    monkeypatch.setattr(posterior_module, "FANTASIES", 300)
    running = [trial.candidate for trial in trials if trial.status == "running"]
    assert len(running) > 15
    alone = posterior(trials).improvements_in_question(running)
    monkeypatch.setattr(posterior_module, "MOST_ALONE", 0)
    together = posterior(trials).improvements_in_question(running)
    assert together == pytest.approx(alone, rel=0.25, abs=0.03 * alone.max())
    assert posterior(trials).improvements_in_question([]).tolist() == []


@pytest.mark.parametrize("compressed", [False, True])
def test_a_fit_is_taken_over_while_nothing_new_is_known(compressed: bool) -> None:
    trials = history(0)
    begun = TrialView(99, next(c for c in POOL if c.key not in {t.candidate.key for t in trials}), (), "running")
    further = replace(begun, accuracies=(0.4,))
    curves: SeenCurves = {}
    before = Posterior(trials, ENCODER, OBJECTIVE, 0, compressed=compressed, curves=curves)
    for more in ([*trials, begun], [*trials, further]):
        anew = Posterior(more, ENCODER, OBJECTIVE, 1, compressed=compressed)
        after = Posterior(more, ENCODER, OBJECTIVE, 1, compressed=compressed, before=before, curves=curves)
        assert after.expected_improvements(POOL).tolist() == anew.expected_improvements(POOL).tolist()
        before = after


def test_gains_follow_from_the_seed() -> None:
    trials = history(0)
    again = [Posterior(trials, ENCODER, OBJECTIVE, seed).expected_improvements(POOL) for seed in (0, 0, 1)]
    assert (again[0] == again[1]).all() and (again[0] != again[2]).any()
    assert all(np.isfinite(improvements).all() and (improvements >= 0).all() for improvements in again)


@pytest.mark.parametrize("seed", range(2))
def test_the_promising_are_not_dominated(seed: int) -> None:
    trials = [trial for trial in history(seed) if trial.status == "finished"]
    chosen = {candidate.key for candidate in posterior(trials).promising}
    cheapest = min(trials, key=lambda trial: trial.candidate.flops)
    assert cheapest.candidate.key in chosen and chosen <= {trial.candidate.key for trial in trials}
    clear = [
        trial.candidate.key
        for trial in trials
        if any(
            dominates(
                (other.accuracies[-1] - 0.2, other.candidate.flops), (trial.accuracies[-1], trial.candidate.flops)
            )
            for other in trials
        )
    ]
    assert not chosen & set(clear)


def test_nothing_is_worth_much_at_what_is_known_to_be_poor() -> None:
    """Forty networks that are all at guessing leave no hope for one like them."""
    trials = [TrialView(n, one, (0.1,) * 9, "finished") for n, one in enumerate(POOL[:40])]
    trials += [TrialView(40, POOL[40], (0.1,) * 8 + (0.9,), "finished")]
    improvements = posterior(trials).expected_improvements(POOL[:41])
    assert improvements[:40].max() < 0.2 * OBJECTIVE.reference[1]
    assert np.isfinite(improvements).all()


@pytest.mark.parametrize("seed", range(2))
def test_the_order_of_the_costs_does_not_matter_and_a_second_one_adds_to_what_is_promising(seed: int) -> None:
    trials, most = history(seed, 20), 1.1 * max(one.params for one in POOL)
    least, most_flops = OBJECTIVE.reference
    orders: list[tuple[tuple[float, ...], tuple[CostName, ...]]] = [
        ((least, most_flops, most), ("flops", "params")),
        ((least, most, most_flops), ("params", "flops")),
    ]
    by_flops, by_params = (
        Posterior(trials, ENCODER, replace(OBJECTIVE, reference=reference, cost_names=names), seed=0)
        for reference, names in orders
    )
    assert by_flops.costs(POOL).tolist() == [[one.flops, one.params] for one in POOL]
    assert by_params.costs(POOL).tolist() == [[one.params, one.flops] for one in POOL]
    improvements = by_flops.expected_improvements(POOL)
    assert improvements == pytest.approx(by_params.expected_improvements(POOL)) and improvements.max() > 0
    promising = {one.key for one in by_flops.promising}
    assert promising == {one.key for one in by_params.promising}
    assert promising >= {one.key for one in posterior(trials).promising}
    earlier = EarlierResults([EarlierTask(tuple(POOL[:30]), tuple(-0.1 * number for number in range(30)))], ENCODER)
    objective = replace(OBJECTIVE, reference=(least, most_flops, most), cost_names=("flops", "params"))
    informed = Posterior(trials, ENCODER, objective, 0, earlier)
    assert np.isfinite(informed.expected_improvements(POOL)).all()
