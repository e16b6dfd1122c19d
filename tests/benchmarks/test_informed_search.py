"""A search that knows nine tenths of a table: it finds what can be foretold, and nothing that cannot."""

import csv
import itertools
import random
import re
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks import informed_search
from tests.benchmarks.informed_search import main, predicted_log_errors
from tests.benchmarks.table import read_table


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(informed_search, "TREES", 60)


def written(path: Path, *, shuffled: bool) -> Path:
    """A table of 3^5 networks whose errors follow from their choices, or the same errors in any order."""
    rng = random.Random(0)
    worth = [[rng.gauss(0, 0.3) for _ in range(3)] for _ in range(5)]
    networks = list(itertools.product(range(3), repeat=5))
    errors = [10 * np.exp(sum(worth[place][choice] for place, choice in enumerate(one))) for one in networks]
    if shuffled:
        rng.shuffle(errors)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow([*(f"choice_{place}" for place in range(5)), "flops", "accuracy_run1"])
        for one, error in zip(networks, errors, strict=True):
            rows.writerow([*one, 1000 + 10 * sum(one) + one[0], 100 - error])
    return path


def printed(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    assert main(["--table", str(path)]) == 0
    said = capsys.readouterr().out
    numbers = {count: float(share) for share, count in re.findall(r"([\d.]+) after (\d+)", said)}
    found = re.search(r"explains (-?\d+) %.*for best (-?[\d.]+);", said)
    assert found is not None
    return {"explained": float(found[1]), "correlation": float(found[2]), **numbers}


def test_what_follows_from_the_choices_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(written(tmp_path / "table.csv", shuffled=False), capsys)
    assert found["explained"] > 90 and found["correlation"] > 0.6 and found["25"] > 97 and found["200"] > 99.9


def test_of_what_is_shuffled_nothing_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(written(tmp_path / "table.csv", shuffled=True), capsys)
    assert found["explained"] < 20 and abs(found["correlation"]) < 0.6 and found["10"] < 97


def test_a_network_is_predicted_without_its_own_result(tmp_path: Path) -> None:
    table = read_table(written(tmp_path / "table.csv", shuffled=False))
    log_errors = np.log(1 - table.accuracy)
    before = predicted_log_errors(table, log_errors)
    log_errors[7] += 5.0
    after = predicted_log_errors(table, log_errors)
    assert after[7] == before[7] and (after != before).any()


def test_a_table_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--table", "nowhere.csv"]) == 2
    assert "error: table 'nowhere.csv' cannot be read" in capsys.readouterr().err


def test_of_few_networks_nothing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "few.csv"
    path.write_text("choice_0,flops,accuracy_run1\na,1,70\nb,2,80\n", encoding="utf-8")
    assert main(["--table", f"{path}@60/100"]) == 2
    assert "few.csv has 2 networks: expected at least 20" in capsys.readouterr().err


def test_choices_that_do_not_apply_are_one_more_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(informed_search, "TREES", 5)
    (path,) = Path(__file__).with_name("tables").glob("*.csv")
    table = read_table(path)
    assert any(None in row for row in table.rows)
    assert np.isfinite(predicted_log_errors(table, np.log(1 - table.accuracy))).all()
