"""What is seen of a search on accuracy and several costs: summary, terminal, report, MLflow and picks."""

import csv
import io
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imread
from rich.console import Console

from nas.driver.conclusion import print_conclusion
from nas.driver.endings import Ending
from nas.driver.plan import print_plan
from nas.driver.result_files import SearchEnd
from nas.export import print_front
from nas.records.front import best_of, front_hypervolume, front_of, hypervolume_history
from nas.records.objectives import CostName
from nas.records.search_facts import SearchFacts
from nas.records.selection import pick
from nas.records.summary import summarise
from nas.records.trial import TrialRecord
from nas.reporting.page import report_page
from nas.reporting.write import write_report
from nas.settings.run_directory import run_directory
from nas.tracking.saved_view import Scatter
from nas.tracking.views import charts
from tests.support.bundles import inference_cost
from tests.support.reports import Page
from tests.support.searches import DIGITS, search_settings, shipped_space, trial_record

COSTS: tuple[CostName, ...] = ("flops", "params")
REFERENCE = (0.1, 10_000_000.0, 500_000.0)
FACTS = SearchFacts("name", DIGITS, 2, REFERENCE, COSTS)


def trial(number: int, accuracy: float, flops: int, params: int, **changes: Any) -> TrialRecord:
    return trial_record(number, (0.3, accuracy), flops=flops, params=params, cost_names=COSTS, **changes)


# By FLOPs alone 0, 2 and 3 would be the front: 1 has fewer parameters, and 4 is beaten by 3 in all.
RECORDS = (
    trial(0, 0.80, 4_000_000, 200_000, anchor=True),
    trial(1, 0.79, 5_000_000, 100_000, anchor=True),
    trial(2, 0.90, 6_000_000, 300_000, inference=inference_cost(latency_ms=2.0)),
    trial(3, 0.85, 4_500_000, 250_000),
    trial(4, 0.84, 4_500_000, 260_000),
    replace(trial(5, 0.0, 1_000_000, 1_000), outcome="rejected", epochs=()),
)


def test_the_front_is_by_rising_flops_and_its_best_member_is_the_most_accurate() -> None:
    for seed in range(5):
        shuffled = random.Random(seed).sample(RECORDS, len(RECORDS))
        members = front_of(shuffled)
        assert [record.number for record in members] == [0, 3, 1, 2] and best_of(members).number == 2
    # The most accurate is not always the last.
    other = trial(6, 0.5, 9_000_000, 50_000)
    assert [record.number for record in front_of([*RECORDS, other])] == [0, 3, 1, 2, 6]
    assert summarise([*RECORDS, other], REFERENCE, COSTS).best == RECORDS[2]


def test_the_hypervolume_follows_the_trials_in_any_order() -> None:
    history = [volume for _, volume in hypervolume_history(RECORDS, REFERENCE)]
    ended = [front_hypervolume(RECORDS[: index + 1], REFERENCE) for index in range(5)]
    assert history == pytest.approx(ended) and history == sorted(history)
    # Of a box of 0.9 by 10 M by 500 k: what the first one has alone.
    assert history[0] == pytest.approx(0.7 * 6e6 * 3e5 / (0.9 * 1e7 * 5e5))


def test_the_summary_says_what_is_gained_at_each_cost() -> None:
    document = json.loads(json.dumps(summarise(RECORDS, REFERENCE, COSTS, 400).to_json()))
    assert document["reference"] == {"val_accuracy": 0.1, "flops": 1e7, "params": 5e5}
    first, second = document["anchors"]
    assert (first["flops_saved"], first["params_saved"], first["params_saved_by"]) == (0, 0, 0)
    # At no more FLOPs than the second anchor trial 3 is more accurate, at no more parameters nothing is.
    assert (second["accuracy_gained_by"], second["accuracy_gained_at_params_by"]) == (3, 1)
    assert second["accuracy_gained"] == pytest.approx(0.06) and second["accuracy_gained_at_params"] == 0
    assert (second["flops_saved_by"], second["params_saved"]) == (0, 0) and second["flops_saved"] == pytest.approx(0.2)
    assert document["front_probabilities"] is None
    repeated = [replace(RECORDS[2], number=9, replicate=1), *RECORDS]
    assert len(summarise(repeated, REFERENCE, COSTS).front_probabilities or ()) == 4


def test_the_terminal_speaks_of_both(tmp_path: Path) -> None:
    output = io.StringIO()
    console = Console(width=200, file=output)
    print_front(console, RECORDS, search_settings(min_accuracy=0.82))
    header, *rows = output.getvalue().splitlines()
    assert header.split() == ["trial", "accuracy", "FLOPs", "params", "ms", "MB"]
    assert [row.split()[0] for row in rows[:4]] == ["0", "3", "1", "2"]
    below = [str(record.number) for record in front_of(RECORDS) if record.point[0] < 0.82]
    said = f"by search.min_accuracy=0.82 {len(below)} of 4 on the front do not count: trials {', '.join(below)}"
    assert len(below) == 2 and said in rows
    end = SearchEnd("name", "id", "digits", False, Ending("--trials 8", None), 1.0, 1.0)
    print_conclusion(console, run_directory(str(tmp_path), "name"), end, summarise(RECORDS, REFERENCE, COSTS), [], "on")
    text = output.getvalue()
    assert "accuracy over the logarithms of FLOPs and parameters" in text
    assert f"against {RECORDS[1].architecture.label} (79.00%, 5 MFLOPs, 100,000 parameters):" in text
    assert "  at equal FLOPs: +6.00 points (trial 3)" in text
    assert "  at equal parameters: nothing is more accurate\n" in text
    assert "  at equal accuracy: 20% fewer FLOPs (trial 0)" in text
    assert "  at equal accuracy: nothing has fewer parameters" in text


def test_a_plan_names_the_objectives_and_both_limits() -> None:
    output = io.StringIO()
    settings = search_settings(objectives=("val_accuracy", *COSTS), max_flops=5e6, max_params=150_000.0)
    print_plan(Console(file=output, width=160), shipped_space(), DIGITS, settings, 9)
    text = output.getvalue()
    assert "validation accuracy against FLOPs and parameters" in text and "150,000 at most" in text
    params = [
        int(line.split("params")[0].split()[-1].replace(",", "")) for line in text.splitlines() if "sample" in line
    ]
    assert len(params) == 6 and max(params) <= 150_000


def test_the_report_has_a_picture_for_each_cost_and_a_page_of_all(tmp_path: Path) -> None:
    paths = write_report(tmp_path, FACTS, RECORDS)
    assert {"front.png", "front_params.png"} <= {path.name for path in paths}
    assert (imread(tmp_path / "front.png") != imread(tmp_path / "front_params.png")).any()
    with (tmp_path / "front.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["flops"], row["params"]) for row in rows[:2]] == [("4000000", "200000"), ("4500000", "250000")]
    text = report_page(FACTS, RECORDS, [])
    page = Page(text)
    assert page.drawn("line") == [0, 3, 2]
    assert sorted(set(page.drawn("trials")) & {0, 1, 2, 3}) == [0, 1, 2, 3]
    for words in (
        "least as accurate with no more FLOPs and no more parameters; the line, drawn over FLOPs, joins those that no",
        "79.00% to 90.00% accurate at 4 MFLOPs to 6 MFLOPs and 100,000 parameters to 300,000 parameters",
        "below 10 MFLOPs and 500,000 parameters that the front dominates",
    ):
        assert words in text, words
    of_params = [replace(record, cost_names=("params",)) for record in RECORDS]
    alone = report_page(replace(FACTS, reference=(0.1, 5e5), cost_names=("params",)), of_params, [])
    assert "By rising parameters. C is" in alone and '<option value="params" selected>' in alone


def test_a_front_that_is_not_there_yet_is_none() -> None:
    assert summarise([], REFERENCE, COSTS).to_json()["hypervolume"] == 0
    assert "so there is no front" in report_page(FACTS, [], [])


@pytest.mark.parametrize(
    ("choice", "number"),
    [
        ("accuracy", 2), ("max-params=100k", 1), ("max-params=250k", 3), ("max-flops=4.2M", 0), ("within=6%", 3),
        ("within=100%", 0), ("max-memory=4", 2),
    ],
)  # fmt: skip
def test_picks_from_a_front_of_several_costs(choice: str, number: int) -> None:
    assert pick(RECORDS, choice).record.number == number == pick(RECORDS[::-1], choice).record.number


def test_mlflow_charts_each_cost() -> None:
    assert charts(("flops", "params")) == (Scatter("flops", "val_accuracy"), Scatter("params", "val_accuracy"))
    three = charts(("latency_ms", "params", "flops"))
    assert [chart.x_metric for chart in three] == ["latency_ms", "params", "flops"]
    assert [chart.x_metric for chart in charts(("params",))] == ["params", "flops"]
