"""Peers: each proposes what is new and in the table, where it is installed; where it is not, that is said."""

from itertools import product

import numpy as np
import optuna
import pytest

from search_spaces.errors import UserError
from search_spaces.space import Value
from tests.benchmarks.peers import PEERS, check_installed, is_installed, peer_named
from tests.benchmarks.samplers import OptunaSampler
from tests.benchmarks.table import Table
from tests.benchmarks.table_source import Exhausted, TableSource, finished_trials


def small_table() -> Table:
    """60 networks of three choices; the last of 64 combinations are absent."""
    combinations: list[tuple[Value, ...]] = list(product(range(4), range(4), "abcd"))
    rows = combinations[:60]
    flops = np.array([1000.0 * (1 + index // 16) ** 2 * (1 + index // 4 % 4) for index in range(60)])
    accuracy = 0.9 - 0.3 / np.log(flops / 100) - 0.02 * np.array([operator == "b" for _, _, operator in rows])
    domains = {"width": (0, 1, 2, 3), "kernel": (0, 1, 2, 3), "operator": tuple("abcd")}
    return Table(domains, rows, flops, flops, accuracy, accuracy)


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_proposes_what_is_new(name: str) -> None:
    table = small_table()
    if not is_installed(name):
        with pytest.raises(UserError, match=f"{PEERS[name]} is not installed"):
            check_installed(name)
        return
    peer = peer_named(name, TableSource(table), (0.5, 1e9), 0)
    rows: list[int] = []
    for _ in range(25):
        row = peer.propose(finished_trials(table, rows))
        assert row not in rows and 0 <= row < 60
        rows.append(row)
        peer.finished(row, float(table.observed[row]))
    assert len(peer.proposal_seconds) == 25


@pytest.mark.parametrize("integers", [False, True])
def test_a_sampler_that_clings_to_what_the_table_lacks_goes_on(integers: bool) -> None:
    table = small_table()
    lacking = {"width": 3, "kernel": 3, "operator": 3 if integers else "d"}
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        clinging = optuna.samplers.PartialFixedSampler(lacking, optuna.samplers.RandomSampler(seed=0))
    sampler = OptunaSampler(clinging, TableSource(table), 0, integers)
    assert TableSource(table).index_of({"width": 3, "kernel": 3, "operator": "d"}) is None
    rows = []
    for _ in range(60):
        rows.append(row := sampler.propose([]))
        sampler.finished(row, 0.5)
        learned = sampler._study.trials[-1]
        values = {name: table.domains[name][at] if integers else at for name, at in learned.params.items()}
        assert tuple(values.values()) == table.rows[row] and learned.values == [0.5, table.flops[row]]
    assert sorted(rows) == list(range(60))
    with pytest.raises(Exhausted):
        sampler.propose([])
