"""Wherever a search on latency is shown, its front is that of latency, and texts call it so."""

import base64
import csv
import io
import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from nas.driver.conclusion import print_conclusion
from nas.driver.endings import Ending
from nas.driver.front_table import uncounted_lines, uncounted_remarks
from nas.driver.result_files import SearchEnd
from nas.export import print_front
from nas.records.front import front_of
from nas.records.search_facts import SearchFacts
from nas.records.selection import pick
from nas.records.summary import Summary, summarise
from nas.records.trial import TrialRecord
from nas.reporting.page import report_page
from nas.reporting.tables import csv_table
from nas.settings.run_directory import run_directory
from nas.tracking.run_fields import cost_metrics
from nas.tracking.saved_view import TAG_PREFIX
from nas.tracking.views import front_slug, view_tags
from tests.support.bundles import inference_cost
from tests.support.reports import Page
from tests.support.searches import DIGITS, search_settings, trial_record

REFERENCE = (0.1, 8.0)
FACTS = SearchFacts("name", DIGITS, 2, REFERENCE, ("latency_ms",))


def on_latency(number: int, accuracy: float, latency_ms: float | None, **changes: Any) -> TrialRecord:
    return trial_record(number, (0.5, accuracy), cost_names=("latency_ms",), latency_ms=latency_ms, **changes)


# By FLOPs the front would be trial 2 alone.
RECORDS = (
    on_latency(0, 0.80, 2.0, flops=4_000_000, anchor=True, inference=inference_cost(latency_ms=1.75)),
    on_latency(1, 0.85, 4.0, flops=3_000_000),
    on_latency(2, 0.90, 6.0, flops=1_000_000, inference=inference_cost(latency_ms=5.5)),
    on_latency(3, 0.84, 7.0, flops=2_000_000),
    replace(on_latency(4, 0.0, None, flops=9_000_000), outcome="rejected", epochs=()),
)


def summary() -> Summary:
    return summarise(RECORDS, REFERENCE, ("latency_ms",))


def test_the_summary_measures_cost_in_milliseconds() -> None:
    document = json.loads(json.dumps(summary().to_json()))
    assert [member["number"] for member in document["front"]] == [0, 1, 2]
    assert document["reference"] == {"val_accuracy": 0.1, "latency_ms": 8.0}
    # Steps of the front: 0.7 from 2 ms on, 0.05 more from 4 ms, 0.05 more from 6 ms, of a box of 0.9 by 8 ms.
    assert abs(document["hypervolume"] - (0.7 * 6 + 0.05 * 4 + 0.05 * 2) / (0.9 * 8)) < 1e-9
    (anchor,) = document["anchors"]
    assert (anchor["latency_ms"], anchor["latency_ms_saved"], anchor["accuracy_gained"]) == (2.0, 0.0, 0.0)
    costs = [(member["latency_ms"], member["inference_latency_ms"]) for member in document["front"]]
    assert costs == [(2.0, 1.75), (4.0, None), (6.0, 5.5)]


def test_the_default_summary_is_one_of_flops() -> None:
    records = [trial_record(0, (0.5, 0.8), flops=4_000_000, anchor=True, inference=inference_cost(latency_ms=1.5))]
    document = summarise(records, (0.1, 1e7)).to_json()
    assert document["reference"] == {"val_accuracy": 0.1, "flops": 1e7}
    assert document["anchors"][0]["flops"] == 4_000_000 and document["anchors"][0]["flops_saved"] == 0
    assert document["front"][0]["latency_ms"] == document["front"][0]["inference_latency_ms"] == 1.5


def test_the_terminal_lists_latency_and_gains_of_it(tmp_path: Path) -> None:
    records = (*RECORDS, on_latency(5, 0.82, 1.5, flops=8_000_000))
    output = io.StringIO()
    console = Console(width=200, file=output)
    asked = search_settings(objectives=("val_accuracy", "latency_ms"), max_latency_ms=4.5)
    print_front(console, records, asked)
    header, *rows = output.getvalue().splitlines()
    assert header.split() == ["trial", "accuracy", "latency", "FLOPs", "params", "ms", "MB"]
    assert [row.split()[:4] for row in rows[:3]] == [
        ["5", "82.00%", "1.5", "ms"],
        ["1", "85.00%", "4", "ms"],
        ["2", "90.00%", "6", "ms"],
    ]
    both = replace(asked, min_accuracy=0.95)
    assert uncounted_remarks(records[-1], asked) == []
    assert uncounted_remarks(front_of(records)[-1], both) == [
        "by search.min_accuracy=0.95 it does not count",
        "by search.max_latency_ms=4.5 it does not count",
    ]
    end = SearchEnd("name", "id", "digits", False, Ending("--trials 8", None), 1.0, 1.0)
    directory, summary = run_directory(str(tmp_path), "name"), summarise(records, REFERENCE, ("latency_ms",))
    print_conclusion(console, directory, end, summary, [], "the way on", uncounted_lines(summary.front, asked))
    text = output.getvalue()
    assert "(80.00%, 2 ms):\n  at equal latency: +2.00 points (trial 5)\n" in text
    assert "  at equal accuracy: 25% less latency (trial 5)\n" in text
    assert text.count("by search.max_latency_ms=4.5 1 of 3 on the front does not count: trial 2\n") == 2
    assert "knee: the front bends nowhere (accuracy over the logarithm of latency)" in text


def test_the_report_opens_on_latency() -> None:
    text = report_page(FACTS, RECORDS, [])
    page = Page(text)
    options = [attributes for tag, attributes in page.tags if tag == "option"]
    (selected,) = [attributes for attributes in options if "selected" in attributes]
    assert selected["value"] == page.data["cost"] == "latency_ms" and "disabled" not in selected
    assert page.drawn("line") == [0, 1, 2]
    assert page.data["figures"]["front"]["layout"]["xaxis"]["title"]["text"] == "inference latency, ms"
    assert {trial["number"]: trial.get("latency_ms") for trial in page.data["trials"]} == {
        record.number: record.latency_ms for record in RECORDS
    }
    for words in (
        "least as accurate with less latency; the line, drawn over latency", "By rising latency of one batch",
        "80.00% to 90.00% accurate at 2 ms to 6 ms", "below 8 ms that the front dominates", "beside a reference",
    ):  # fmt: skip
        assert words in text, words
    assert "fewer FLOPs" not in text


def test_the_report_opens_on_flops_otherwise() -> None:
    records = [trial_record(0, (0.5, 0.8)), trial_record(1, (0.5, 0.9), flops=2_000_000)]
    text = report_page(SearchFacts("name", DIGITS, 2, (0.1, 1e7)), records, [])
    options = [
        attributes["value"] for tag, attributes in Page(text).tags if tag == "option" and "selected" in attributes
    ]
    assert (
        options == ["flops"]
        and "with fewer FLOPs; the line, drawn over FLOPs" in text
        and "reference network" not in text
    )


def test_mlflow_holds_both_latencies_and_plots_that_of_the_search() -> None:
    values = {point.name: point.value for point in cost_metrics(RECORDS[0])}
    assert (values["latency_ms"], values["inference_latency_ms"], values["peak_memory_mb"]) == (2.0, 1.75, 3.5)
    assert {point.name for point in cost_metrics(RECORDS[1])} == {"flops", "params", "latency_ms"}
    tags = view_tags("abc", "name", 0, ("latency_ms",))
    stored = json.loads(tags[TAG_PREFIX + front_slug("abc")])["state"].removeprefix("deflate;")
    state = json.loads(zlib.decompress(base64.b64decode(stored)))
    axes = [chart["xaxis"]["key"] for chart in state["compareRunCharts"] if chart["type"] == "SCATTER"]
    assert axes == ["latency_ms", "flops"]
    generated = {chart["metricKey"] for chart in state["compareRunCharts"] if chart["type"] == "BAR"}
    assert "inference_latency_ms" in generated


def test_tables_and_picks_go_by_latency() -> None:
    rows = list(csv.DictReader(csv_table(RECORDS, summary().front).splitlines()))
    assert [row["latency_ms"] for row in rows] == ["2.0", "4.0", "6.0", "7.0", ""]
    assert [row["inference_latency_ms"] for row in rows] == ["1.75", "", "5.5", "", ""]
    # What was measured alone counts where there is such a number.
    assert pick(RECORDS, "max-latency=5.6").record.number == 2
    assert pick(RECORDS, "max-latency=4.1").record.number == 1
    assert pick(RECORDS, "max-flops=2e6").record.number == 2
