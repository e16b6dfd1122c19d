"""What a proposal costs, on one core, as the trials of a search grow in number.

    .venv/bin/python tests/benchmarks/proposal_cost.py [--trials 100 1000] [--running 16] [--repeats 5]

Trials are random architectures with made-up accuracies, all finished but for those that are running. Timed, in seconds
of CPU, are the first proposal, and then by turns the decision on a trial that has come to a rung and the next proposal,
each after a further result. With --tpe Optuna's multivariate TPE is timed beside it, on a study in memory that holds
the same finished trials.
"""

import argparse
import math
import random
import resource
import statistics
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
import yaml

from nas.strategy.candidates import Candidate, SpaceCandidates
from nas.strategy.decisions import Decisions
from nas.strategy.posterior import Objective, TrialView
from search_spaces import space as space_module
from search_spaces.space_reading import space_from_mapping
from trainers.data.config import DataSummary

DIGITS = DataSummary("digits", 10, 1, 16, 1000, 400, 397)
EPOCHS, RUNGS = 9, (2, 6)


def accuracy(candidate: Candidate, rng: random.Random) -> float:
    """Rises with FLOPs and with the share of convolutions, and scatters."""
    convolutions = sum(value == "convolution" for value in candidate.choices.values())
    return 1 - math.exp(-0.4 * math.log10(candidate.flops) - 0.05 * convolutions + 0.1 * rng.gauss(0, 1))


@dataclass(frozen=True)
class Cost:
    """Seconds of CPU: of the first proposal, of each later one, and of each decision at a rung."""

    first: float
    proposals: list[float]
    rungs: list[float]


def decision_cost(source: SpaceCandidates, trials: int, running: int, repeats: int) -> Cost:
    """What deciding takes after so many finished trials, while so many run, half of them past the first rung."""
    rng = random.Random(0)
    views: list[TrialView] = []

    def begin(candidate: Candidate | None, epochs: int) -> None:
        assert candidate is not None
        accuracies = (accuracy(candidate, rng),) * epochs
        views.append(TrialView(len(views), candidate, accuracies, "finished" if epochs == EPOCHS else "running"))

    for number in range(trials + running):
        begin(source.sample(rng), EPOCHS if number < trials else RUNGS[0] * (number % 2))
    decisions = Decisions(source, Objective((0.1, 3e7), EPOCHS, RUNGS, resolution=1e-3), reduction_factor=3, seed=0)
    started = time.process_time()
    assert decisions.state(views).fresh is not None
    cost = Cost(time.process_time() - started, [], [])
    for number in range(trials, trials + repeats):
        reached = (accuracy(views[number].candidate, rng),) * RUNGS[0]
        views[number] = replace(views[number], accuracies=reached)
        started = time.process_time()
        decisions.should_continue(number, decisions.state(views))
        cost.rungs.append(time.process_time() - started)
        views[number] = replace(views[number], accuracies=reached[:1] * EPOCHS, status="finished")
        started = time.process_time()
        fresh = decisions.state(views).fresh
        cost.proposals.append(time.process_time() - started)
        assert fresh is not None
        begin(fresh.candidate, 0)
    return cost


def tpe_seconds(source: SpaceCandidates, trials: int, repeats: int) -> list[float]:
    """The same for Optuna's multivariate TPE."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rng = random.Random(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=0, multivariate=True, group=True, constant_liar=True)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    for _ in range(trials):
        candidate = source.sample(rng)
        assert candidate is not None
        distributions: dict[str, optuna.distributions.BaseDistribution] = {
            name: optuna.distributions.CategoricalDistribution(tuple(source.domains[name]))
            for name in candidate.choices
            if name in source.domains
        }
        params = {name: candidate.choices[name] for name in distributions}
        values = [accuracy(candidate, rng), candidate.flops]
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, values=values))
    seconds = []
    for _ in range(repeats):
        started = time.process_time()
        trial = study.ask()
        for name, domain in source.domains.items():
            trial.suggest_categorical(name, domain)
        seconds.append(time.process_time() - started)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--running", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tpe", action="store_true", help="times Optuna's TPE, too")
    options = parser.parse_args()
    print(f"{'space':<15}{'trials':>7}{'running':>9}{'first, s':>10}{'proposal, s':>13}{'rung, s':>9}{'peak, MB':>12}",
          *[f"{'TPE, s':>9}"] * options.tpe)  # fmt: skip
    for name in ("resnet_stages", "resnet_blocks"):
        path = Path(space_module.__file__).with_name(f"{name}.yaml")
        space = space_from_mapping(name, yaml.safe_load(path.read_text(encoding="utf-8")))
        source = SpaceCandidates(space, DIGITS)
        for trials in options.trials:
            cost = decision_cost(source, trials, options.running, options.repeats)
            proposal, rung = statistics.median(cost.proposals), statistics.median(cost.rungs)
            megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
            theirs = [f"{statistics.median(tpe_seconds(source, trials, options.repeats)):9.3f}"] * options.tpe
            print(f"{name:<15}{trials:>7}{options.running:>9}{cost.first:>10.3f}{proposal:>13.3f}{rung:>9.3f}"
                  f"{megabytes:>12.0f}", *theirs, flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
