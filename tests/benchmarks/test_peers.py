"""Peers: each proposes what is new and in the table, where it is installed; where it is not, that is said."""

from itertools import product

import numpy as np
import pytest

from search_spaces.errors import UserError
from search_spaces.space import Value
from tests.benchmarks.peers import PEERS, check_installed, is_installed, peer_named
from tests.benchmarks.table import Table
from tests.benchmarks.table_source import TableSource, finished_trials


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
