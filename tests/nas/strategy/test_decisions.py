"""What a search decides, given its trials: on a real space, in any order and unit of FLOPs."""

import math
import pickle
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from nas.records.pareto import Point, dominates
from nas.records.seeds import derived_seed
from nas.strategy.candidates import Candidate, SpaceCandidates
from nas.strategy.decisions import LEAST_OBSERVATIONS, Decisions
from nas.strategy.posterior import Objective, Posterior, TrialView
from nas.strategy.proposals import INITIAL_PROPOSALS, distinct, encoder_of
from search_spaces.space import Value
from search_spaces.space_cost import flops_range
from tests.support.present import present
from tests.support.searches import DIGITS, shipped_space

SPACE = shipped_space()
LOWEST_COST, HIGHEST_COST = flops_range(SPACE, image_size=16, in_channels=1, classes=10)
SOURCE = SpaceCandidates(SPACE, DIGITS)
EPOCHS, RUNGS, FACTOR = 9, (1, 3), 3


class OtherUnit:
    """The same space with FLOPs in another unit."""

    def __init__(self, unit: float) -> None:
        self._unit = unit

    @property
    def domains(self) -> Mapping[str, Sequence[Value]]:
        return SOURCE.domains

    def sample(self, rng: random.Random) -> Candidate | None:
        return self.scaled(SOURCE.sample(rng))

    def mutate(self, candidate: Candidate, rng: random.Random) -> Candidate | None:
        return self.scaled(SOURCE.mutate(candidate, rng))

    def scaled(self, candidate: Candidate | None) -> Candidate | None:
        return None if candidate is None else replace(candidate, flops=candidate.flops * self._unit)


def decisions(seed: int = 0, unit: float = 1.0) -> Decisions:
    objective = Objective((0.1, HIGHEST_COST * unit), EPOCHS, RUNGS, 1e-3)
    return Decisions(OtherUnit(unit), objective, reduction_factor=FACTOR, seed=seed)


def history(seed: int, finished: int = 5, held: int = 3, running: int = 8, reached: int = 1) -> list[TrialView]:
    """Trials of one search; the running ones have all just reached the rung of epoch `reached`."""
    rng = random.Random(seed)
    count = finished + held + running
    trials = []
    for number, candidate in enumerate(distinct(SOURCE.sample, count, rng, ()).values()):
        end = 1 - math.exp(-0.8 - 0.3 * math.log(candidate.flops / LOWEST_COST) + rng.gauss(0, 0.3))
        curve = [max(0.0, end * (0.5 + 0.5 * epoch / 9) + rng.gauss(0, 0.05)) for epoch in range(1, 10)]
        if number < finished:
            trials.append(TrialView(number, candidate, tuple(curve), "finished"))
        elif number < finished + held:
            trials.append(TrialView(number, candidate, tuple(curve[:1]), "held"))
        else:
            trials.append(TrialView(number, candidate, tuple(curve[:reached]), "running"))
    return trials


def scaled(trials: Sequence[TrialView], unit: float) -> list[TrialView]:
    return [replace(t, candidate=replace(t.candidate, flops=t.candidate.flops * unit)) for t in trials]


def fates(trials: Sequence[TrialView], asked: Decisions) -> dict[int, bool]:
    """Whether each running trial goes on, by number."""
    state = asked.state(trials)
    return {trial.number: asked.should_continue(trial.number, state) for trial in trials if trial.status == "running"}


def at_rung(trials: Sequence[TrialView], rung: int) -> dict[int, Point]:
    return {t.number: (t.accuracies[rung - 1], t.candidate.flops) for t in trials if t.status == "running"}


def test_the_design_comes_first_and_expects_nothing() -> None:
    asked = decisions()
    for count in (0, LEAST_OBSERVATIONS - 1):
        state = asked.state(history(0, finished=count, held=0, running=0))
        assert state.posterior is None and present(state.fresh).improvement is None and state.fresh_improvement == 0
    early = asked.state(history(0, finished=LEAST_OBSERVATIONS, held=0, running=0))
    assert early.posterior is not None and present(early.fresh).improvement is None
    assert asked.state(history(0, finished=INITIAL_PROPOSALS, held=0, running=0)).fresh_improvement > 0


def test_trials_that_have_not_reached_a_rung_tell_nothing() -> None:
    trials = [replace(trial, accuracies=(), status="ended") for trial in history(0)]
    assert decisions().state(trials).posterior is None


def test_the_same_trials_are_the_same_situation() -> None:
    asked = decisions()
    trials = history(0)
    assert asked.state(trials) is asked.state(tuple(trials))
    assert asked.state(trials[1:]) is not asked.state(trials)


@pytest.mark.parametrize("seed", range(2))
def test_the_scales_take_turns(seed: int) -> None:
    """In the order of the proposals, whatever was asked before."""
    trials, pool = history(seed), [trial.candidate for trial in history(seed)]
    objective = Objective((0.1, HIGHEST_COST), EPOCHS, RUNGS, 1e-3)
    encoder = encoder_of(OtherUnit(1.0), derived_seed("encoder", 0))
    asked = decisions()
    found = {}
    for place in (16, 17, 18, 17):
        believed = present(asked.state(trials, place).posterior)
        fantasies = derived_seed("fantasies", 0, place)
        expected = Posterior(trials, encoder, objective, fantasies, compressed=place % 2 == 0)
        found[place] = believed.expected_improvements(pool).tolist()
        assert found[place] == expected.expected_improvements(pool).tolist()
    assert found[16] != found[17] != found[18]


@pytest.mark.parametrize("unit", [2.0**-20, 1e-9])
@pytest.mark.parametrize("seed", range(2))
def test_the_unit_of_flops_does_not_matter(seed: int, unit: float) -> None:
    trials = history(seed)
    here, there = decisions(seed), decisions(seed, unit)
    states = here.state(trials), there.state(scaled(trials, unit))
    assert present(states[0].fresh).candidate.key == present(states[1].fresh).candidate.key
    assert here.promotion(states[0]) == there.promotion(states[1])
    settled = history(seed, running=0)
    promoted = here.promotion(here.state(settled), 8)
    assert promoted == there.promotion(there.state(scaled(settled, unit)), 8) is not None
    assert fates(trials, here) == fates(scaled(trials, unit), there)


@pytest.mark.parametrize("unit", [2.0**-20, 1e-9])
def test_the_unit_of_flops_does_not_matter_before_anything_has_finished(unit: float) -> None:
    trials = history(3, finished=0, held=4, running=6)
    here, there = decisions(), decisions(unit=unit)
    assert fates(trials, here) == fates(scaled(trials, unit), there)
    fresh = [present(d.state(t).fresh).candidate.key for d, t in ((here, trials), (there, scaled(trials, unit)))]
    assert fresh[0] == fresh[1]


@pytest.mark.parametrize("seed", range(2))
def test_the_order_of_the_trials_does_not_matter(seed: int) -> None:
    trials = history(seed)
    shuffled = random.Random(5).sample(trials, len(trials))
    one, other = decisions(seed), decisions(seed)
    assert one.state(trials).fresh == other.state(shuffled).fresh
    assert one.promotion(one.state(trials), 8) == other.promotion(other.state(shuffled), 8)
    assert fates(trials, one) == fates(shuffled, other)


def dominated_pairs(seeds: range) -> list[tuple[bool, bool]]:
    """Of each pair of which one dominates the other: whether it goes on, and whether the other does."""
    pairs = []
    for seed in seeds:
        trials, asked = history(seed, reached=1 if seed % 2 else 3), decisions(seed)
        points, going = at_rung(trials, 1 if seed % 2 else 3), fates(trials, asked)
        pairs += [
            (going[one], going[other]) for one in going for other in going if dominates(points[one], points[other])
        ]
    return pairs


def test_nothing_is_stopped_while_what_it_dominates_goes_on() -> None:
    pairs = dominated_pairs(range(16, 28))
    assert len(pairs) > 50 and 0 < sum(going for going, _ in pairs) < len(pairs) - 10
    assert not [pair for pair in pairs if pair[1] and not pair[0]]


@pytest.mark.parametrize("factor", [2, 3])
def test_fewer_trials_at_a_rung_than_the_factor_stop_nobody(factor: int) -> None:
    trials = [
        replace(trial, accuracies=(0.1, 0.1, 0.1)) if trial.status == "running" else trial
        for trial in history(0, finished=0, held=8, running=factor - 1)
    ]
    asked = Decisions(SOURCE, Objective((0.1, HIGHEST_COST), EPOCHS, RUNGS, 1e-3), reduction_factor=factor, seed=0)
    assert fates(trials, asked) and all(fates(trials, asked).values())


# In the history of seed 7 the process takes it for luck, and it is held.
@pytest.mark.parametrize("seed", [4, 5, 6, 8, 9, 10, 11])
def test_what_is_best_where_it_stands_goes_on_and_what_is_hopeless_does_not(seed: int) -> None:
    trials = history(seed, finished=8, held=0, running=2)
    asked = decisions()
    by_flops = sorted((trial.candidate for trial in trials), key=lambda candidate: candidate.flops)
    # Poor as they are, nothing that is fresh promises more.
    worse = [tuple(accuracy / 2 for accuracy in trial.accuracies) for trial in trials[:-2]]
    known = zip(trials[:-2], by_flops[1:-1], worse, strict=True)
    rest = [replace(trial, candidate=candidate, accuracies=found) for trial, candidate, found in known]
    good = replace(trials[-2], candidate=by_flops[0], accuracies=(0.9, 0.95, 0.97))
    poor = replace(trials[-1], candidate=by_flops[-1], accuracies=(0.05, 0.05, 0.05))
    assert fates([*rest, good, poor], asked) == {good.number: True, poor.number: False}


def test_the_best_held_trial_is_promoted_for_what_is_left() -> None:
    trials = history(2, running=0, finished=8)
    asked = decisions(2)
    state = asked.state(trials)
    held = [trial for trial in trials if trial.status == "held"]
    improvements = present(state.posterior).expected_improvements([trial.candidate for trial in held])
    rates = {
        t.number: improvement / (EPOCHS - len(t.accuracies)) for t, improvement in zip(held, improvements, strict=True)
    }
    best = max(rates, key=lambda number: rates[number])
    # Of eight epochs nothing fresh can be trained to the end.
    assert asked.promotion(state, 8) == (best if rates[best] > 0 else None)
    assert asked.promotion(state, 7) is None
    beats_fresh = rates[best] >= state.fresh_improvement / EPOCHS
    assert asked.promotion(state) == (best if beats_fresh else None)


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_what_running_trials_may_leave_is_not_spent_on_held_ones(seed: int) -> None:
    settled = history(seed, running=0, finished=8)
    asked = decisions(seed)
    taken = {trial.candidate.key for trial in settled}
    running = next(iter(distinct(SOURCE.sample, 1, random.Random(seed + 100), taken).values()))

    def promoted(accuracies: tuple[float, ...], epochs_left: float) -> int | None:
        state = asked.state([*settled, TrialView(len(settled), running, accuracies, "running")])
        return asked.promotion(state, epochs_left)

    # What is fresh is worth more than what is held, and is to have the epochs that a trial leaves at its next rung.
    assert promoted((), math.inf) is None
    assert promoted((), 8) is None and promoted((0.3,), 8) is None
    # Past the last rung it leaves none, and of eight epochs nothing fresh can be trained to the end.
    assert promoted((0.3, 0.3, 0.3), math.inf) is None
    assert promoted((0.3, 0.3, 0.3), 8) is not None


def test_at_a_rung_what_is_fresh_is_the_rival_while_others_may_leave_their_epochs() -> None:
    differ = 0
    for seed in range(8):
        asked = decisions(seed)
        trials = history(seed, running=2)
        past = [*trials[:-1], replace(trials[-1], accuracies=(0.3, 0.3, 0.3))]
        number = trials[-2].number
        before, after = asked.state(trials), asked.state(past)
        assert asked.should_continue(number, before, 8) == asked.should_continue(number, before)
        differ += asked.should_continue(number, after, 8) != asked.should_continue(number, after)
    assert differ


def test_without_held_trials_nothing_is_promoted() -> None:
    asked = decisions()
    assert asked.promotion(asked.state(history(0, held=0)), 8) is None


def test_a_batch_is_distinct_and_spread() -> None:
    trials = history(1, finished=12, held=0, running=0)
    asked = decisions(1)
    first = asked.state(trials)
    improvements = []
    batch = list(trials)
    for number in range(len(trials), len(trials) + 8):
        fresh = present(asked.state(batch).fresh)
        improvements.append(present(fresh.improvement))
        batch.append(TrialView(number, fresh.candidate, (), "running"))
    added = [trial.candidate for trial in batch[len(trials) :]]
    assert len({trial.candidate.key for trial in batch}) == len(batch)
    assert improvements[-1] < improvements[0]
    # Eight that are best each on its own crowd together.
    pool = distinct(SOURCE.sample, 400, random.Random(0), {trial.candidate.key for trial in trials})
    alone = sorted(
        zip(present(first.posterior).expected_improvements(list(pool.values())), pool.values(), strict=True),
        key=lambda x: -x[0],
    )[:8]
    crowd = [math.log(candidate.flops) for _, candidate in alone]
    spread = [math.log(candidate.flops) for candidate in added]
    assert max(spread) - min(spread) > max(crowd) - min(crowd)


def test_the_place_of_a_proposal_is_the_next_one_unless_it_is_given() -> None:
    trials = history(0)
    decided = decisions()
    following, same, other = decided.state(trials), decided.state(trials, len(trials)), decided.state(trials, 3)
    assert following is same and other is not same
    # The first places are the ends of the range, whatever the number of trials.
    cheap, dear = (decided.state(trials, place).fresh for place in (0, 1))
    assert cheap is not None and cheap.candidate.flops == LOWEST_COST
    assert dear is not None and dear.candidate.flops > 0.5 * HIGHEST_COST


def test_only_a_part_of_the_space_may_be_open() -> None:
    decided = decisions()
    whole = present(decided.state(history(1)).fresh)

    class Part(OtherUnit):
        """What costs less than what is best in the whole."""

        def scaled(self, candidate: Candidate | None) -> Candidate | None:
            return candidate if candidate is None or candidate.flops < whole.candidate.flops else None

    part = present(decided.within(Part(1.0)).state(history(1)).fresh)
    assert part.candidate.flops < whole.candidate.flops
    assert decided.state(history(1)).fresh == whole


def test_a_search_of_thousands_decides_as_any_other() -> None:
    """Of more results than a Gaussian process holds, and of many trials that run."""
    rng = random.Random(1)
    trials = history(0, finished=700, held=400, running=0)
    running = list(distinct(SOURCE.sample, 140, rng, {trial.candidate.key for trial in trials}).values())
    for number, candidate in enumerate(running, len(trials)):
        accuracies = (rng.uniform(0.1, 0.6),) if number % 7 == 0 else ()
        trials.append(TrialView(number, candidate, accuracies, "running"))
    asked = decisions()
    state = asked.state(trials)
    fresh = present(state.fresh)
    assert fresh.candidate.key not in {trial.candidate.key for trial in trials} and state.fresh_improvement > 0
    shuffled = rng.sample(trials, len(trials))
    assert decisions().state(shuffled).fresh == fresh
    going = {
        trial.number: asked.should_continue(trial.number, state)
        for trial in trials
        if trial.status == "running" and trial.accuracies
    }
    points = {trial.number: (trial.accuracies[0], trial.candidate.flops) for trial in trials if trial.number in going}
    pairs = [(going[a], going[b]) for a in going for b in going if dominates(points[a], points[b])]
    assert len(pairs) > 5 and not [pair for pair in pairs if pair[1] and not pair[0]]
    # Nor does anything wait for what so many may leave.
    best = asked.promotion(state, 8)
    assert best is not None and trials[best].status == "held"


def test_decisions_can_be_pickled() -> None:
    objective = Objective((0.1, HIGHEST_COST), EPOCHS, RUNGS, 1e-3)
    again = pickle.loads(pickle.dumps(Decisions(SOURCE, objective, reduction_factor=FACTOR, seed=0)))
    assert again.state(history(2)).fresh == decisions().state(history(2)).fresh
