"""What a proposal costs, on one core, as the trials of a search grow in number.

    .venv/bin/python tests/benchmarks/proposal_cost.py [--trials 100 1000] [--repeats 5]

Trials are random architectures with made-up accuracies, all finished but for 16 that are running. Optuna's multivariate
TPE is timed beside it, on a study in memory that holds the same finished trials.
"""

import argparse
import math
import random
import statistics
import time
import warnings
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
EPOCHS, RUNNING = 9, 16


def accuracy(candidate: Candidate, rng: random.Random) -> float:
    """Rises with FLOPs and with the share of convolutions, and scatters."""
    convolutions = sum(value == "convolution" for value in candidate.choices.values())
    return 1 - math.exp(-0.4 * math.log10(candidate.flops) - 0.05 * convolutions + 0.1 * rng.gauss(0, 1))


def proposal_seconds(source: SpaceCandidates, trials: int, repeats: int) -> list[float]:
    """Seconds of each of `repeats` proposals, each after other trials."""
    seconds = []
    for seed in range(repeats):
        rng = random.Random(seed)
        views = []
        for number in range(trials + RUNNING):
            candidate = source.sample(rng)
            assert candidate is not None
            accuracies = (accuracy(candidate, rng),) * EPOCHS if number < trials else ()
            views.append(TrialView(number, candidate, accuracies, "finished" if accuracies else "running"))
        objective = Objective((0.1, 3e7), EPOCHS, (2, 6), resolution=1e-3)
        decisions = Decisions(source, objective, reduction_factor=3, seed=seed)
        started = time.perf_counter()
        assert decisions.state(views).fresh is not None
        seconds.append(time.perf_counter() - started)
    return seconds


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
        started = time.perf_counter()
        trial = study.ask()
        for name, domain in source.domains.items():
            trial.suggest_categorical(name, domain)
        seconds.append(time.perf_counter() - started)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(f"{'space':<15}{'trials':>7}{'proposal, s':>13}{'TPE, s':>9}{'ratio':>8}")
    for name in ("resnet_stages", "resnet_blocks"):
        path = Path(space_module.__file__).with_name(f"{name}.yaml")
        space = space_from_mapping(name, yaml.safe_load(path.read_text(encoding="utf-8")))
        source = SpaceCandidates(space, DIGITS)
        for trials in options.trials:
            ours = statistics.median(proposal_seconds(source, trials, options.repeats))
            theirs = statistics.median(tpe_seconds(source, trials, options.repeats))
            print(f"{name:<15}{trials:>7}{ours:>13.3f}{theirs:>9.3f}{ours / theirs:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
