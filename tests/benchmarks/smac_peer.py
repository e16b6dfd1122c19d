"""SMAC as a peer (tests/benchmarks/peers.py): a random forest for a Gaussian process, and ParEGO for two objectives."""

import random
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from nas.strategy.posterior import TrialView
from search_spaces.space import Value
from tests.benchmarks.table_source import Exhausted, TableSource

# A search that repeats itself so often in a row will not propose anything new.
MOST_REPEATS = 500


class SmacSearch:
    """SMAC3's facade for hyperparameters (Lindauer et al. 2022) with ParEGO (Knowles 2006): log error and log FLOPs.

    Numbers are ordered choices. Its own ten networks first; then the forest is fitted anew for each proposal, where
    SMAC by itself makes eight from one fit. What a table lacks, and what was stopped, is as bad as can be.
    """

    duplicates = 0

    def __init__(self, source: TableSource, seed: int) -> None:
        from ConfigSpace import Categorical, ConfigurationSpace, OrdinalHyperparameter
        from smac import HyperparameterOptimizationFacade as Facade
        from smac import Scenario
        from smac.multi_objective.parego import ParEGO

        self._source = source
        self._rng = random.Random(seed)
        self._log_flops = np.log(source.table.flops)
        space = ConfigurationSpace(seed=seed)
        for name, values in source.domains.items():
            is_ordered = all(isinstance(value, int | float) for value in values)
            codes = list(range(len(values)))
            space.add(OrdinalHyperparameter(name, codes) if is_ordered else Categorical(name, codes))
        # It keeps its own records on disk.
        self._directory = tempfile.TemporaryDirectory(prefix="smac-")
        scenario = Scenario(
            space,
            objectives=["error", "flops"],
            deterministic=True,
            n_trials=10**6,
            output_directory=self._directory.name,
            seed=seed,
        )
        self._search: Any = Facade(
            scenario,
            _never_called,
            multi_objective_algorithm=ParEGO(scenario),
            initial_design=Facade.get_initial_design(scenario, n_configs=10),
            config_selector=Facade.get_config_selector(scenario, retrain_after=1),
            logging_level=False,
            overwrite=True,
        )
        self._asked: dict[int, Any] = {}
        self._results: dict[int, tuple[float, float]] = {}
        self.proposal_seconds: list[float] = []

    def propose(self, trials: Sequence[TrialView]) -> int:
        started = time.perf_counter()
        if len(trials) == len(self._log_flops):
            raise Exhausted
        for _ in range(MOST_REPEATS):
            info = self._search.ask()
            index = self._row_for(info)
            if index is not None and index not in self._asked:
                self._asked[index] = info
                self.proposal_seconds.append(time.perf_counter() - started)
                return index
            self.duplicates += index in self._results
            self._tell(info, self._results.get(index, self._worst) if index is not None else self._worst)
        raise Exhausted

    def _row_for(self, info: Any) -> int | None:
        """The row of a proposal, in a sample the nearest new one where it has none. None where there is none."""
        codes = info.config
        choices: dict[str, Value] = {name: values[int(codes[name])] for name, values in self._source.domains.items()}
        if self._source.space is None:
            return self._source.index_of(choices)
        built = self._source.buildable(choices, self._rng)
        index = self._source.index_of(built)
        if index is None or index in self._asked:
            index = self._source.nearest(built, self._rng, besides=self._asked)
        return index

    @property
    def _worst(self) -> tuple[float, float]:
        return 0.0, float(self._log_flops.max())

    def _tell(self, info: Any, costs: tuple[float, float]) -> None:
        from smac.runhistory import TrialValue

        self._search.tell(info, TrialValue(cost=list(costs)))

    def finished(self, index: int, accuracy: float) -> None:
        self._conclude(index, float(np.log(max(1 - accuracy, 1e-5))))

    def stopped(self, index: int) -> None:
        self._conclude(index, 0.0)

    def _conclude(self, index: int, log_error: float) -> None:
        self._results[index] = log_error, float(self._log_flops[index])
        self._tell(self._asked[index], self._results[index])


def _never_called(config: Any, seed: int = 0) -> float:
    raise AssertionError("SMAC is asked for proposals, and runs none")
