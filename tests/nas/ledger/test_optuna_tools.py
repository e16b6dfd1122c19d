"""The ledger as Optuna's own tools open it, as optuna-dashboard."""

from pathlib import Path

import optuna
import pytest

from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from tests.support.searches import search_header, search_settings


@pytest.mark.parametrize("cost", ["flops", "latency_ms"])
def test_the_objectives_are_named(tmp_path: Path, cost: str) -> None:
    url = ledger_url(tmp_path / "search.db")
    Ledger.create(url, "search", search_header(search=search_settings(objectives=("val_accuracy", cost))))
    assert optuna.load_study(storage=url, study_name="search").metric_names == ["val_accuracy", cost]
    assert Ledger.open(url, "search").header.search.objectives == ("val_accuracy", cost)
