"""The nodes that were left out stand in the ledger, and in none of before."""

from pathlib import Path

from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.records.left_out_nodes import LeftOutNode
from tests.support.searches import search_header


def test_nodes_that_were_left_out_are_read_back(tmp_path: Path) -> None:
    url = ledger_url(tmp_path / "search.db")
    ledger = Ledger.create(url, "search", search_header())
    assert ledger.nodes_left_out == ()
    gone, there = LeftOutNode("a 12345678", "no data", 1000.0, None), LeftOutNode("b 87654321", "no GPU", 1.5, 2.5)
    ledger.record_nodes_left_out([gone])
    ledger.record_nodes_left_out([gone, there])
    assert Ledger.open(url, "search").nodes_left_out == (gone, there)
