import dataclasses
import html
import random
import re
from pathlib import Path

import pytest
from plotly.offline import get_plotlyjs

from nas.records.front import front_of
from nas.records.search_facts import SearchFacts
from nas.records.trial import OUTCOMES, TrialRecord
from nas.reporting import page as report_page_module
from nas.reporting.importance import importances
from nas.reporting.page import report_page
from nas.reporting.style import STYLES
from search_spaces.architecture import Architecture
from tests.support.reports import FACTS, RECORDS, Page
from tests.support.searches import DIGITS, shipped_space, trial_record
from tests.support.simulated_search import EPOCHS, simulated_search
from trainers.inference_cost import InferenceCost

SIZE_LIMIT = 6_000_000


@pytest.fixture(scope="module")
def simulated() -> list[TrialRecord]:
    return simulated_search(1000)


def test_every_trial_is_there_once_with_its_values() -> None:
    page = Page(report_page(FACTS, RECORDS, []))
    trials = page.data["trials"]
    assert [trial["number"] for trial in trials] == [record.number for record in RECORDS]
    assert sorted(page.drawn("trials", "untrained")) == [record.number for record in RECORDS]
    assert sorted(page.drawn("untrained")) == [4, 5, 8, 9] and page.drawn("mark") == [0, 1]
    for trial, record in zip(trials, RECORDS, strict=True):
        assert trial.get("val_accuracy") == record.val_accuracy and trial.get("epochs", 0) == len(record.epochs)
        assert (trial["flops"], trial["params"], trial["outcome"]) == (record.flops, record.params, record.outcome)
        assert trial.get("reason") == record.reason and trial.get("duplicate_of") == record.duplicate_of
        operators = [[dict(page.data["operators"][place]) for place in stage] for stage in trial["stages"]]
        description = record.architecture.to_json() | {
            "stages": [[operator for operator in stage if operator.pop("label")] for stage in operators]
        }
        assert Architecture.from_json(description) == record.architecture


def test_the_front_is_the_official_one(simulated: list[TrialRecord]) -> None:
    for records in (RECORDS, simulated):
        page = Page(report_page(FACTS, records, []))
        members = [record.number for record in front_of(records)]
        assert {trial["number"] for trial in page.data["trials"] if trial.get("front")} == set(members)
        assert page.drawn("line") == members
        assert sorted(page.drawn("trials", "untrained")) == sorted(record.number for record in records)
        buttons = [int(tag["data-pin"]) for _, tag in page.tags if "data-pin" in tag]
        assert buttons == members


def test_every_outcome_of_a_trial_that_trained_has_a_mark_of_its_own() -> None:
    assert set(OUTCOMES) - set(STYLES) == {"rejected", "duplicate"}
    marks = [(style.symbol, style.colour) for style in STYLES.values()]
    assert len(set(marks)) == len(marks)


@pytest.mark.parametrize("granularity", ["stage", "block"])
def test_a_thousand_trials_fit_the_limit(simulated: list[TrialRecord], granularity: str) -> None:
    if granularity == "block":
        space, state = shipped_space("resnet_blocks", depth=[50], width=[1.0]), random.Random(0)
        simulated = [dataclasses.replace(record, architecture=space.sample(state)) for record in simulated]
    text = report_page(SearchFacts("a thousand", DIGITS, EPOCHS, (0.1, 2e7)), simulated, [])
    assert sum(record.trained for record in simulated) == 1000
    assert len(text.encode()) < SIZE_LIMIT


def test_the_page_needs_no_network_and_holds_plotly_once() -> None:
    text = report_page(FACTS, RECORDS, [])
    assert text.count(get_plotlyjs()) == 1
    page = Page(text)
    assert not [tag for tag, attributes in page.tags if {"src", "href", "action"} & attributes.keys()]
    assert {tag for tag, _ in page.tags}.isdisjoint({"link", "img", "iframe", "object", "form", "a"})
    own = text.replace(get_plotlyjs(), "")
    assert not re.search(r"fetch\(|XMLHttpRequest|localStorage|sessionStorage|clipboard|window\.open|https?:", own)


def test_names_are_shown_and_never_run() -> None:
    name = "</script><img src=x onerror=alert(1)> & 'quotes\" <b>"
    data = dataclasses.replace(DIGITS, name="<i>data</i>")
    records = [*RECORDS, trial_record(10, (), outcome="failed", reason=f"{name}<!--<script>")]
    text = report_page(SearchFacts(name, data, 2, (0.1, 1e7)), records, [])
    page = Page(text)
    assert page.texts["title"] == name and page.texts["h1"] == name
    assert page.data["trials"][-1]["reason"] == f"{name}<!--<script>"
    assert {tag for tag, _ in page.tags}.isdisjoint({"img", "b", "i"})
    assert "<!--" not in text.replace(get_plotlyjs(), "")
    # A reason is shown as Plotly's markup when it is hovered over, which the script escapes.
    script = (Path(report_page_module.__file__).parent / "page.js").read_text(encoding="utf-8")
    assert "innerHTML" not in script and re.findall(r"trial\.reason\.slice", script) == ["trial.reason.slice"]
    assert "escaped(trial.reason.slice" in script


@pytest.mark.parametrize(
    ("records", "figures"),
    [
        ([], {"front"}),
        (RECORDS[:1], {"front", "curves", "choices", "hypervolume", "stopping"}),
        (RECORDS[3:4], {"front", "stopping"}),
        (RECORDS[4:6], {"front"}),
    ],
    ids=["empty", "one trial", "stopped only", "untrained only"],
)
def test_only_figures_with_something_to_show_are_there(records: list[TrialRecord], figures: set[str]) -> None:
    page = Page(report_page(FACTS, records, importances(records, 2)))
    assert set(page.data["figures"]) == figures
    assert {attributes["id"] for tag, attributes in page.tags if attributes.get("class") == "figure"} == figures
    assert sorted(page.drawn("trials", "untrained")) == [record.number for record in records]


def test_text_says_what_is_not_there() -> None:
    assert "so there is no front" in report_page(FACTS, RECORDS[3:], [])
    assert "Stopped trials stand at the accuracy at which they were stopped." in report_page(FACTS, RECORDS, [])
    far = report_page(FACTS, RECORDS, [])
    assert "hidden until asked for" in far and "id='reference-models'>" in far
    near = report_page(FACTS, [trial_record(0, (0.5, 0.6), flops=10**9)], [])
    assert "hidden until asked for" not in near and "id='reference-models' checked>" in near


def test_latency_can_be_chosen_where_it_was_measured() -> None:
    page = Page(report_page(FACTS, RECORDS, []))
    options = [attributes for tag, attributes in page.tags if tag == "option"]
    assert [option["value"] for option in options] == ["flops", "params", "latency_ms", "epochs"]
    assert ["disabled" in option for option in options] == [False, False, True, False]
    cost = InferenceCost(1.5, 0.1, 2.5, "<CPU>", 1, 1, 16, "float32", "blocks", "2.13.0", 30)
    text = report_page(FACTS, [dataclasses.replace(RECORDS[0], inference=cost)], [])
    page = Page(text)
    assert not any("disabled" in attributes for tag, attributes in page.tags if tag == "option")
    assert page.data["trials"][0]["latency_ms"] == 1.5 and page.data["trials"][0]["peak_memory_mb"] == 2.5
    assert html.escape(cost.conditions) in text
