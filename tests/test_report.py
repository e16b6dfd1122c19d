import csv
import re
from pathlib import Path

import pytest
from matplotlib.image import imread

from nas.records import TrialRecord
from nas.report import report_page, stage_texts, write_report
from tests.search_fixtures import trial_record

REFERENCE = (0.1, 10_000_000.0)
RECORDS = [
    trial_record(0, (0.5, 0.80), flops=4_000_000, anchor=True),
    trial_record(1, (0.5, 0.90), flops=8_000_000, anchor=True),
    trial_record(2, (0.5, 0.85), flops=3_000_000),
    trial_record(3, (0.7,), flops=1_000_000, outcome="stopped", reason="rung of epoch 1"),
    trial_record(4, (), outcome="rejected", reason="over, the limit"),
    trial_record(5, (), outcome="running"),
]


@pytest.mark.parametrize("records", [RECORDS, RECORDS[3:], []], ids=["front", "no front", "nothing"])
def test_the_report_is_written_whatever_there_is(records: list[TrialRecord], tmp_path: Path) -> None:
    paths = write_report(tmp_path / "report", "name", records, REFERENCE)
    assert [path.name for path in paths] == ["front.html", "front.png", "hypervolume.png", "trials.csv", "front.csv"]
    for path in paths:
        assert path.is_file()
    for path in paths[1:3]:
        assert imread(path).std() > 0.01


def test_the_page_needs_no_network_and_names_every_trial(tmp_path: Path) -> None:
    page = report_page("a <search>", RECORDS, REFERENCE)
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", page)
    assert "a &lt;search&gt;" in page and "a <search>" not in page
    for number in (0, 1, 2, 3):
        assert f"trial {number}\\u003c" in page or f"trial {number}</b>" in page
    assert len(page) < 6_000_000


def test_tables_hold_every_trial_and_the_front(tmp_path: Path) -> None:
    write_report(tmp_path, "name", RECORDS, REFERENCE)
    with (tmp_path / "trials.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["number"]) for row in rows] == [0, 1, 2, 3, 4, 5]
    assert [row["on_front"] for row in rows] == ["False", "True", "True", "False", "False", "False"]
    assert rows[2]["val_accuracy"] == "0.85" and rows[2]["flops"] == "3000000" and rows[2]["stage2"] == "A7×2n"
    assert rows[4]["reason"] == "over, the limit" and rows[4]["val_accuracy"] == ""
    with (tmp_path / "front.csv").open(encoding="utf-8", newline="") as file:
        assert [int(row["number"]) for row in csv.DictReader(file)] == [2, 1]


def test_stages_are_described_block_by_block_where_they_differ() -> None:
    assert stage_texts(trial_record(2).architecture) == ["C", "A7×2n", "C A7×2n", "A7×2n"]
