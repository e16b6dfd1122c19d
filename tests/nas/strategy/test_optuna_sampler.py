"""The Optuna sampler, in real studies of one worker."""

import math
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from nas.records.pareto import hypervolume
from nas.strategy.optuna_sampler import PROPOSAL, GainSampler
from tests.support.sampled_studies import (
    REFERENCE,
    SPACE,
    accuracy,
    conditional,
    cost,
    distinct,
    everything,
    objective,
    sampler_of,
    study_of,
    suggested,
)

# What was proposed, as kind, wide, depth and heads, since before proposals were written into their trials.
PROPOSED = {
    0: "aF21 cT64 bN43 cF23 bF102 bF21 cF101 aT22 bN41 bN101 bN103 bN61 bN21 bN102 bN81 bN22",
    1: "aF21 cT64 cT23 aF41 aF102 bN22 bN101 aF61 bN61 bN21 bN102 bN81 bN41 bN103 bN24 bN104",
}


def test_it_finds_the_front_of_a_study_and_repeats_nothing() -> None:
    """Against all 180 by brute force; random parameters have 88 % of that front after as many trials."""
    truth = hypervolume([(accuracy(p), cost(p)) for p in everything()], REFERENCE)
    study = study_of(0)
    study.optimize(objective, n_trials=25)
    found = [tuple(trial.values) for trial in study.trials]
    assert len({tuple(trial.params.items()) for trial in study.trials}) == 25
    assert all(value[1] <= REFERENCE[1] for value in found)
    assert hypervolume(found, REFERENCE) >= 0.97 * truth


def test_the_same_seed_proposes_the_same_whatever_the_unit_of_cost() -> None:
    def parameters(seed: int, unit: float) -> list[dict[str, Any]]:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = GainSampler(
            SPACE, cost=lambda p: unit * cost(p), reference=(REFERENCE[0], unit * REFERENCE[1]), seed=seed
        )
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        study.optimize(lambda trial: (objective(trial)[0], unit * objective(trial)[1]), n_trials=12)
        return [trial.params for trial in study.trials]

    assert parameters(1, 1.0) == parameters(1, 2.0**30) != parameters(2, 1.0)


def test_running_trials_are_not_proposed_again() -> None:
    study = study_of(3)
    study.optimize(objective, n_trials=10)
    asked = [study.ask() for _ in range(8)]
    for trial in asked:
        objective(trial)
    assert len({tuple(trial.params.items()) for trial in study.trials}) == 18


@pytest.mark.parametrize("seed", PROPOSED)
def test_a_seed_proposes_what_it_always_did(seed: int) -> None:
    study = study_of(seed)
    study.optimize(objective, n_trials=16)
    proposed = [f"{p['kind']}{str(p['wide'])[0]}{p['depth']}{p['heads']}" for p in (t.params for t in study.trials)]
    assert " ".join(proposed) == PROPOSED[seed]


def test_another_state_of_chance_changes_random_parameters_and_no_proposals() -> None:
    def ran(reseed: bool) -> list[Any]:
        study = study_of(1)
        if reseed:
            study.sampler.reseed_rng()
        rows = []
        for _ in range(12):
            trial = study.ask()
            values = objective(trial)
            rows.append([dict(trial.params), trial.suggest_float("else", 0, 1)])
            study.tell(trial, values)
        return rows

    still, again, reseeded = ran(False), ran(False), ran(True)
    assert still == again
    assert [row[0] for row in still] == [row[0] for row in reseeded]
    assert not {row[1] for row in still} & {row[1] for row in reseeded}


def test_a_parameter_that_is_asked_for_only_sometimes() -> None:
    study = study_of(4)
    study.optimize(conditional, n_trials=20)
    assert {"heads" in trial.params for trial in study.trials} == {True, False}


@pytest.mark.parametrize("seed", range(3))
def test_what_an_objective_does_not_ask_for_makes_no_new_proposal(seed: int) -> None:
    """Convolutions have no heads: three networks of them, where the space has 24, and 24 of attention."""
    space = {
        "operator": CategoricalDistribution(["convolution", "attention"]),
        "depth": CategoricalDistribution([26, 38, 50]),
        "heads": IntDistribution(1, 8),
    }

    def flops(parameters: Any) -> float:
        return parameters["depth"] * (parameters.get("heads", 1) if parameters["operator"] == "attention" else 1)

    def tried(trial: optuna.Trial) -> tuple[float, float]:
        operator = trial.suggest_categorical("operator", ["convolution", "attention"])
        depth = trial.suggest_categorical("depth", [26, 38, 50])
        heads = trial.suggest_int("heads", 1, 8) if operator == "attention" else 1
        return 0.3 + 0.02 * heads + 0.1 * (depth == 50) + 0.05 * (operator == "attention"), flops(trial.params)

    sampler = GainSampler(space, cost=flops, reference=(0.1, 1000.0), seed=seed)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    study.optimize(tried, n_trials=27)
    distinct_trials = {tuple(sorted(trial.params.items())) for trial in study.trials}
    assert len(distinct_trials) == 27


@pytest.mark.parametrize("failure", ["error", "no number", "pruned"])
@pytest.mark.parametrize("seed", range(2))
def test_what_fails_before_it_asks_for_all_is_given_up_after_two_trials(seed: int, failure: str) -> None:
    """Convolutions ask for a kernel, which is too large from 5 on; attention asks for two more."""
    space = {
        "operator": CategoricalDistribution(["convolution", "attention"]),
        "kernel": IntDistribution(1, 7, step=2),
        "heads": IntDistribution(1, 8),
        "extent": CategoricalDistribution([3, 5, 7]),
        "width": IntDistribution(1, 4),
    }

    def tried(trial: optuna.Trial) -> tuple[float, float]:
        width = trial.suggest_int("width", 1, 4)
        if trial.suggest_categorical("operator", ["convolution", "attention"]) == "attention":
            heads, extent = trial.suggest_int("heads", 1, 8), trial.suggest_categorical("extent", [3, 5, 7])
            return 0.2 + 0.05 * width + 0.02 * heads + 0.01 * extent, 1.0 + width * (heads + extent)
        kernel = trial.suggest_int("kernel", 1, 7, step=2)
        if kernel >= 5 and failure == "error":
            raise RuntimeError("out of memory")
        if kernel >= 5 and failure == "pruned":
            raise optuna.TrialPruned
        return (math.nan if kernel >= 5 else 0.6 + 0.05 * width + 0.02 * kernel), 1.0 + width * kernel

    def flops(parameters: Any) -> float:
        return 1.0 + parameters["width"] * (parameters["kernel"] if parameters["operator"] == "convolution" else 9)

    sampler = GainSampler(space, cost=flops, reference=(0.1, 100.0), seed=seed)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    study.optimize(tried, n_trials=60, catch=(RuntimeError,))
    counts = Counter(tuple(sorted(trial.params.items())) for trial in study.trials)
    assert max(counts.values()) <= 2
    # Eight such convolutions there are, and no other trial is had twice.
    assert 60 - len(counts) <= 8


def test_parameters_that_are_enqueued_are_tried_as_they_are_and_not_again() -> None:
    wanted = random.Random(0).sample(everything(), 4)
    study = study_of(5)
    for parameters in wanted[:2]:
        study.enqueue_trial(parameters)
    study.optimize(objective, n_trials=9)
    for parameters in wanted[2:]:
        study.enqueue_trial(parameters)
    study.optimize(objective, n_trials=11)
    tried = [trial.params for trial in study.trials]
    assert tried[:2] == wanted[:2] and tried[9:11] == wanted[2:] and distinct(study) == 20


@pytest.mark.parametrize("fixed", [{"kind": "a"}, {"heads": 4, "depth": 8}, {"wide": None, "kind": "c", "depth": 2}])
def test_what_is_enqueued_in_part_is_completed_by_proposals(fixed: dict[str, Any]) -> None:
    study = study_of(6)
    study.optimize(objective, n_trials=9)
    for _ in range(3):
        study.enqueue_trial(fixed)
    study.optimize(objective, n_trials=6)
    for trial in study.trials[9:12]:
        assert trial.params.items() >= fixed.items() and trial.values[1] <= REFERENCE[1]
        assert trial.system_attrs[PROPOSAL]["depth"] == trial.params["depth"]
    assert distinct(study) == 15


def test_what_is_enqueued_may_lie_outside_the_space_or_beyond_the_reference() -> None:
    study = study_of(7)
    study.enqueue_trial({"depth": 12})
    study.enqueue_trial({"depth": 10, "wide": True, "heads": 4})
    study.enqueue_trial({"other": 3.0})
    with pytest.warns(UserWarning, match="out of range"):
        study.optimize(objective, n_trials=1)
    study.optimize(objective, n_trials=12)
    assert [trial.params["depth"] for trial in study.trials[:2]] == [12, 10] and study.trials[1].values[1] == 100
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE} and distinct(study) == 13


def test_an_exhausted_space_goes_on_with_random_parameters() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = {"n": IntDistribution(1, 3)}
    sampler = GainSampler(space, cost=lambda p: p["n"], reference=(0.0, 10.0))
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    study.optimize(lambda trial: (0.1 * trial.suggest_int("n", 1, 3), trial.params["n"]), n_trials=6)
    assert [trial.params["n"] for trial in study.trials[:3]] != [1, 1, 1]
    assert {trial.params["n"] for trial in study.trials[:3]} == {1, 2, 3}


def test_failed_and_pruned_trials_and_those_that_diverged_are_left_alone() -> None:
    """An infinite accuracy stays in a study for good: it must not end that study."""
    study = study_of(5)
    rng = random.Random(5)

    def shaky(trial: optuna.Trial) -> tuple[float, float]:
        values = objective(trial)
        match rng.randrange(6):
            case 0:
                raise RuntimeError("lost")
            case 1:
                raise optuna.TrialPruned
            case 2:
                return float("nan"), values[1]
            case 3:
                return float("-inf"), values[1]
        return values

    study.optimize(shaky, n_trials=24, catch=(RuntimeError,))
    assert distinct(study) == 24
    states = [trial.state for trial in study.trials]
    assert set(states) == {TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED}
    assert any(trial.values == [float("-inf"), cost(trial.params)] for trial in study.trials)


def test_an_objective_that_fails_between_its_parameters() -> None:
    def torn(trial: optuna.Trial) -> tuple[float, float]:
        trial.suggest_int("depth", 2, 10, step=2)
        if trial.number % 2:
            raise RuntimeError("lost")
        return objective(trial)

    study = study_of(6)
    study.optimize(torn, n_trials=20, catch=(RuntimeError,))
    proposals = [tuple(sorted(trial.system_attrs[PROPOSAL].items())) for trial in study.trials]
    assert len(set(proposals)) == 20 and all(trial.params for trial in study.trials)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_callback_stops_the_study(jobs: int) -> None:
    def stop(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        if trial.number >= 4:
            study.stop()

    study = study_of(8)
    study.optimize(objective, n_trials=50, n_jobs=jobs, callbacks=[stop])
    assert 5 <= len(study.trials) < 10 and distinct(study) == len(study.trials)
    study.optimize(objective, n_trials=3)
    assert distinct(study) == len(study.trials)


def test_asking_and_telling_by_hand() -> None:
    study, optimized = study_of(9), study_of(9)
    optimized.optimize(objective, n_trials=12)
    for _ in range(12):
        trial = study.ask(SPACE)
        study.tell(trial, [accuracy(trial.params), cost(trial.params)])
    assert [trial.params for trial in study.trials] == [trial.params for trial in optimized.trials]
    first, second, third = study.ask(), study.ask(SPACE), study.ask(SPACE)
    study.tell(first, state=TrialState.FAIL)
    study.tell(third.number, state=TrialState.PRUNED)
    study.tell(second, [accuracy(second.params), cost(second.params)])
    study.optimize(objective, n_trials=3)
    assert len({tuple(trial.params.items()) for trial in study.trials if trial.params}) == 17


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING])
def test_trials_that_are_added_are_known(state: TrialState) -> None:
    study = study_of(10)
    # Two are left of what costs 8 at most.
    cheap = [parameters for parameters in everything() if cost(parameters) <= 8]
    for parameters in cheap[2:]:
        values = [accuracy(parameters), cost(parameters)] if state == TrialState.COMPLETE else None
        study.add_trial(create_trial(state=state, params=parameters, distributions=SPACE, values=values))
    study.sampler = GainSampler(SPACE, cost=cost, reference=(0.3, 8.0))
    asked = [study.ask() for _ in range(3 + (len(cheap) - 2) * (state == TrialState.WAITING))]
    proposed = [suggested(trial) for trial in asked[-3:]][:2]
    assert sorted(map(str, proposed)) == sorted(map(str, cheap[:2]))
    assert PROPOSAL not in study.trials[-1].system_attrs


def test_a_study_whose_space_has_changed() -> None:
    """Values and names that are gone, and one that is new."""
    before = {
        "kind": CategoricalDistribution(["a", "b", "c"]),
        "depth": IntDistribution(2, 14, step=2),
        "heads": IntDistribution(1, 4),
        "gone": IntDistribution(0, 3),
    }

    def forgiving(parameters: Any) -> float:
        return cost({"wide": False, **parameters})

    def earlier(trial: optuna.Trial) -> tuple[float, float]:
        kind = trial.suggest_categorical("kind", ["a", "b", "c"])
        parameters = {"kind": kind, "wide": False, "depth": trial.suggest_int("depth", 2, 14, step=2)}
        parameters |= {"heads": trial.suggest_int("heads", 1, 4)}
        trial.suggest_int("gone", 0, 3)
        return accuracy(parameters), cost(parameters)

    study = study_of(11)
    study.sampler = GainSampler(before, cost=forgiving, reference=(0.3, 200.0))
    study.optimize(earlier, n_trials=12)
    unfinished = study.ask()
    unfinished.suggest_int("depth", 2, 14, step=2)
    study.sampler = GainSampler(SPACE, cost=forgiving, reference=REFERENCE)
    study.optimize(objective, n_trials=10)
    assert {trial.state for trial in study.trials[13:]} == {TrialState.COMPLETE}
    assert len({tuple(trial.params.items()) for trial in study.trials[13:]}) == 10


def test_an_objective_of_another_range_gets_what_fits_into_it() -> None:
    def narrower(trial: optuna.Trial) -> tuple[float, float]:
        parameters = {
            "depth": trial.suggest_int("depth", 6, 10, step=2),
            "kind": trial.suggest_categorical("kind", ["a", "b", "c"]),
            "wide": trial.suggest_categorical("wide", [True, False, None]),
        }
        return accuracy(parameters), cost(parameters)

    study = study_of(12)
    study.optimize(narrower, n_trials=10)
    assert {trial.params["depth"] for trial in study.trials} <= {6, 8, 10}


def test_what_another_sampler_holds_fixed() -> None:
    study = study_of(13)
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        study.sampler = optuna.samplers.PartialFixedSampler({"kind": "b"}, sampler_of(13))
    study.optimize(objective, n_trials=12)
    assert {trial.params["kind"] for trial in study.trials} == {"b"} and len(study.trials) == 12


@pytest.mark.parametrize(
    "directions",
    [["minimize", "minimize"], ["minimize", "maximize"], ["maximize"], ["maximize", "minimize", "minimize"]],
)
def test_other_directions_are_named(directions: Any) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=directions, sampler=sampler_of(0))
    with pytest.raises(ValueError, match=r'needs a study with directions \["maximize", "minimize"\]'):
        study.optimize(objective, n_trials=1)


@pytest.mark.parametrize("wrong", [1 + 1e-12, -1e-15])
def test_an_accuracy_that_is_rounded_beyond_a_share_is_one(wrong: float) -> None:
    proposed = []
    for value in (wrong, round(wrong)):
        study = study_of(6)
        study.optimize(objective, n_trials=9)
        study.add_trial(create_trial(params=everything()[0], distributions=SPACE, values=[value, 1.0]))
        study.optimize(objective, n_trials=1)
        proposed.append(study.trials[-1].params)
    assert proposed[0] == proposed[1]


@pytest.mark.parametrize("wrong", [{"reference": ("a", 1)}, {"reference": (0.1, None)}, {"resolution": "x"}])
def test_what_is_no_number_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"('a'|None|'x') of the (reference|resolution) is no number"):
        GainSampler(SPACE, cost=cost, **{"reference": REFERENCE, **wrong})


def test_a_cost_function_may_change_what_it_is_given() -> None:
    def changing(parameters: Any) -> float:
        parameters["heads"] = 1
        return 1.0

    study = optuna.create_study(
        directions=["maximize", "minimize"], sampler=GainSampler(SPACE, cost=changing, reference=(0.1, 2.0))
    )
    study.optimize(lambda trial: (objective(trial)[0], 1.0), n_trials=12)
    assert len({trial.params["heads"] for trial in study.trials}) > 1


@pytest.mark.parametrize("reference", [(0.1,), 0.1, (0.1, 7.0, 3.0), "ab"])
def test_a_reference_that_is_no_pair_is_named(reference: Any) -> None:
    with pytest.raises(ValueError, match="expected a pair of the least accuracy and the highest cost"):
        GainSampler(SPACE, cost=cost, reference=reference)


@pytest.mark.parametrize("wrong", [93.0, -0.1, 1.0001])
def test_an_accuracy_that_is_no_share_is_named(wrong: float) -> None:
    study = study_of(6)
    study.add_trial(create_trial(params=everything()[0], distributions=SPACE, values=[wrong, 1.0]))
    with pytest.raises(ValueError, match=rf"trial 0 has accuracy {wrong}: expected a share from 0 to 1"):
        objective(study.ask())


@pytest.mark.parametrize(
    ("space", "cost_of", "message"),
    [
        ({"lr": FloatDistribution(0, 1)}, cost, "'lr' is FloatDistribution"),
        ({"n": IntDistribution(0, 1000)}, cost, "at most 256 integers"),
        (SPACE, lambda parameters: 0.0, "expected a number above 0"),
        (SPACE, lambda parameters: None, "is None: expected a number above 0"),
        (SPACE, lambda parameters: "12", "is '12': expected a number above 0"),
        (SPACE, lambda parameters: parameters, "expected a number above 0"),
        (SPACE, lambda parameters: (1.0, 2.0), r"is \(1.0, 2.0\): expected a number above 0"),
        (SPACE, lambda parameters: np.ones(3), r"is array\(.*\): expected a number above 0"),
        (SPACE, lambda parameters: torch.ones(3), r"is tensor\(.*\): expected a number above 0"),
        (SPACE, lambda parameters: 10**400, "expected a number above 0"),
        (SPACE, lambda parameters: 1e9, "has cost 60, and of 5,000 random parameters none costs so little"),
        ({}, cost, "the search space is empty"),
        (
            {"n": CategoricalDistribution([1, 1.0, 2])},
            lambda parameters: 1.0,
            "has 1 and 1.0, which are",
        ),
        ({"n": CategoricalDistribution([True, 1, 0])}, lambda parameters: 1.0, "has True and 1,"),
        ({"n": CategoricalDistribution([None, "None"])}, lambda parameters: 1.0, "has None and 'None',"),
    ],
)
def test_mistakes_are_named(space: dict[str, Any], cost_of: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GainSampler(space, cost=cost_of, reference=REFERENCE)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ((70.0, 60.0), "has accuracy 70.0: expected a share from 0 to below 1"),
        ((float("nan"), 60.0), "has accuracy nan"),
        ((0.3, 0.0), "has cost 0.0: expected a finite number above 0"),
        ((0.3, float("inf")), "has cost inf"),
        ((0.3, 1.0), "has cost 1, and of 5,000 random parameters none costs so little"),
    ],
)
def test_a_reference_that_cannot_be_is_named(reference: tuple[float, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GainSampler(SPACE, cost=cost, reference=reference)
    with pytest.raises(ValueError, match="the resolution is 0"):
        GainSampler(SPACE, cost=cost, reference=REFERENCE, resolution=0.0)
