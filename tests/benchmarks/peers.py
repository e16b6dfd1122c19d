"""Other people's searches for search_quality, used where they are installed. None is a dependency of this project.

    pip install botorch pymoo smac

Each sees what ours sees, as far as it can take it in: a table's choices, the FLOPs of every network beforehand, and the
results. Not there is HEBO, whose newest release, 0.3.6, asks for numpy below 1.25.
"""

import importlib.util
import random
import time
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from nas.records.pareto import Point
from nas.strategy.posterior import TrialView
from search_spaces.errors import UserError
from tests.benchmarks.smac_peer import SmacSearch
from tests.benchmarks.table_source import Exhausted, TableSource

# The name of a method, and the module that it needs.
PEERS = {"botorch-qlogehvi": "botorch", "pymoo-nsga2": "pymoo", "smac-parego": "smac"}
INITIAL, CANDIDATES = 10, 400


class Peer(Protocol):
    """A search as search_quality asks it (tests.benchmarks.samplers.Sampler)."""

    duplicates: int
    proposal_seconds: list[float]

    def propose(self, trials: Sequence[TrialView]) -> int: ...

    def finished(self, index: int, accuracy: float) -> None: ...

    def stopped(self, index: int) -> None: ...


def peer_named(name: str, source: TableSource, reference: Point, seed: int) -> Peer:
    """A fresh peer, which has to be installed."""
    if name == "botorch-qlogehvi":
        return BotorchSearch(source, reference, seed)
    return PymooSearch(source, seed) if name == "pymoo-nsga2" else SmacSearch(source, seed)


def is_installed(name: str) -> bool:
    return importlib.util.find_spec(PEERS[name]) is not None


def check_installed(name: str) -> None:
    """Raises UserError where what a peer needs is not there."""
    if not is_installed(name):
        raise UserError(f"--methods {name}: {PEERS[name]} is not installed; pip install {PEERS[name]}.")


class BotorchSearch:
    """BoTorch's qLogEHVI (Ament et al. 2023) on a mixed Gaussian process of log error; log FLOPs are known.

    Ten random networks first. Then the best of 400 that are new, half of them random, half neighbours of the front: in
    a sample of a space, those that are nearest to it.
    """

    duplicates = 0

    def __init__(self, source: TableSource, reference: Point, seed: int) -> None:
        self._table = table = source.table
        self._is_sample = source.space is not None
        self._reference = reference
        self._random = np.random.default_rng(seed)
        # A choice that does not apply is one more value.
        domains = [(*values, None) for values in table.domains.values()]
        self._codes = np.array(
            [[values.index(one) for values, one in zip(domains, row, strict=True)] for row in table.rows]
        )
        self.proposal_seconds: list[float] = []

    def propose(self, trials: Sequence[TrialView]) -> int:
        started = time.perf_counter()
        known = [int(trial.candidate.key) for trial in trials]
        new = np.setdiff1d(np.arange(len(self._codes)), known)
        if not len(new):
            raise Exhausted
        done = [trial for trial in trials if trial.status == "finished"]
        chosen = int(self._random.choice(new)) if len(done) < INITIAL else self._best(done, known, new)
        self.proposal_seconds.append(time.perf_counter() - started)
        return chosen

    def _best(self, done: Sequence[TrialView], known: Sequence[int], new: np.ndarray) -> int:
        import torch
        from botorch.acquisition.multi_objective.logei import qLogExpectedHypervolumeImprovement
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import MixedSingleTaskGP
        from botorch.models.deterministic import GenericDeterministicModel
        from botorch.models.model import ModelList
        from botorch.models.transforms import Standardize
        from botorch.utils.multi_objective.box_decompositions.non_dominated import FastNondominatedPartitioning
        from gpytorch.mlls import ExactMarginalLogLikelihood

        rows = [int(trial.candidate.key) for trial in done]
        error = np.log(np.maximum([1 - trial.accuracies[-1] for trial in done], 1e-5))
        log_flops = np.log(self._table.flops)
        features = torch.tensor(np.column_stack([self._codes, log_flops]), dtype=torch.double)
        features[:, -1] = (features[:, -1] - features[:, -1].min()) / (features[:, -1].max() - features[:, -1].min())
        targets = torch.tensor(-error, dtype=torch.double)[:, None]
        categories = list(range(self._codes.shape[1]))
        model = MixedSingleTaskGP(features[rows], targets, categories, outcome_transform=Standardize(1))
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        low, high = log_flops.min(), log_flops.max()
        cost = GenericDeterministicModel(lambda X: -(low + X[..., -1:] * (high - low)))
        worst = torch.tensor([-np.log(1 - self._reference[0]), -np.log(self._reference[1])], dtype=torch.double)
        outcomes = torch.tensor(np.column_stack([-error, -log_flops[rows]]), dtype=torch.double)
        partitioning = FastNondominatedPartitioning(worst, outcomes)
        acquisition: Any = qLogExpectedHypervolumeImprovement(ModelList(model, cost), worst, partitioning)
        members = self._codes[[rows[index] for index in _front(-error, log_flops[rows])]]
        distances = (self._codes[new][:, None] != members[None]).sum(axis=2).min(axis=1)
        near = new[distances == (distances.min() if self._is_sample else 1)]
        half = min(CANDIDATES // 2, len(new))
        chosen = [self._random.choice(pool, min(half, len(pool)), replace=False) for pool in (near, new) if len(pool)]
        candidates = np.unique(np.concatenate(chosen))
        with torch.no_grad():
            return int(candidates[int(acquisition(features[candidates][:, None]).argmax())])

    def finished(self, index: int, accuracy: float) -> None:
        """Nothing: it is in the trials."""

    def stopped(self, index: int) -> None:
        """Nothing: it is in the trials."""


def _front(gains: np.ndarray, costs: np.ndarray) -> list[int]:
    from nas.records.pareto import front

    return front(list(zip(gains.tolist(), costs.tolist(), strict=True)))


class PymooSearch:
    """pymoo's NSGA-II of 20 on integers, with its own elimination of duplicates; a repeat is told the known result.

    Where another row is trained than was proposed, it is that row that goes into the population.
    """

    def __init__(self, source: TableSource, seed: int) -> None:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.problem import Problem
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.sampling.rnd import IntegerRandomSampling

        self._source = source
        self._flops = source.table.flops
        self._rng = random.Random(seed)
        self._domains = source.domains
        upper = [len(values) - 1 for values in self._domains.values()]
        problem = Problem(n_var=len(upper), n_obj=2, xl=[0] * len(upper), xu=upper, vtype=int)
        repair = RoundingRepair()
        self._search = NSGA2(
            pop_size=20,
            sampling=IntegerRandomSampling(),
            crossover=SBX(prob=0.9, eta=3.0, vtype=float, repair=repair),
            mutation=PM(prob=0.9, eta=3.0, vtype=float, repair=repair),
            eliminate_duplicates=True,
        )
        self._search.setup(problem, termination=("n_gen", 10**9), seed=seed, verbose=False)
        self._known: dict[int, float] = {}
        self._population: Any = None
        self._waiting: list[int | None] = []
        self.duplicates = 0
        self.proposal_seconds: list[float] = []

    def propose(self, trials: Sequence[TrialView]) -> int:
        started = time.perf_counter()
        asked = {int(trial.candidate.key) for trial in trials}
        if len(asked) == len(self._flops):
            raise Exhausted
        while True:
            new = next((index for index in self._waiting if index is not None and index not in asked), None)
            if new is not None:
                self.proposal_seconds.append(time.perf_counter() - started)
                return new
            self._next_generation()

    def _next_generation(self) -> None:
        if self._population is not None:
            results = [
                # What no table has is as bad as can be; what is still being trained is not waited for.
                (0.0, 1e30) if index is None else (-self._known.get(index, 0.0), float(self._flops[index]))
                for index in self._waiting
            ]
            self._population.set("F", np.array(results))
            self._search.tell(infills=self._population)
        self._population = self._search.ask()
        self._waiting = []
        proposed = self._population.get("X")
        for codes in proposed:
            self._waiting.append(self._row_for(codes))
        self._population.set("X", proposed)
        self.duplicates += sum(index in self._known for index in self._waiting)

    def _row_for(self, codes: np.ndarray) -> int | None:
        """The row of some codes; where a sample has none, the nearest new one, whose codes then stand for them."""
        domains = self._domains.items()
        choices = {name: values[int(code)] for (name, values), code in zip(domains, codes, strict=True)}
        if self._source.space is None:
            return self._source.index_of(choices)
        built = self._source.buildable(choices, self._rng)
        index = self._source.index_of(built)
        if index is None:
            index = self._source.nearest(built, self._rng, besides=self._waiting)
        if index is not None:
            row = self._source.candidate(index).choices
            codes[:] = [values.index(row.get(name, choices[name])) for name, values in domains]
        return index

    def finished(self, index: int, accuracy: float) -> None:
        self._known[index] = accuracy

    def stopped(self, index: int) -> None:
        self._known[index] = 0.0
