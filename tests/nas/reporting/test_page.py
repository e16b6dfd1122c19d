import csv
import dataclasses
import random
import re
import tomllib
from pathlib import Path

import pytest
from plotly.offline import get_plotlyjs

from nas.records.front import front_of
from nas.records.inheritance import Inheritance
from nas.records.search_facts import SearchFacts
from nas.records.trial import OUTCOMES, TrialRecord
from nas.reporting import page as report_page_module
from nas.reporting.background import Background, NextCommand
from nas.reporting.importance import importances
from nas.reporting.page import Live, report_page
from nas.reporting.style import STYLES
from nas.reporting.tables import csv_table
from nas.reporting.texts import below_text
from search_spaces.architecture import Architecture
from tests.support.reports import FACTS, RECORDS, Page
from tests.support.searches import DIGITS, shipped_space, trial_record
from tests.support.simulated_search import EPOCHS, simulated_search
from trainers.inference_cost import InferenceCost

SIZE_LIMIT = 6_000_000
PACKAGE = Path(report_page_module.__file__).parent


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
        buttons = [int(pin) for _, tag in page.tags if (pin := tag.get("data-pin")) is not None]
        assert buttons == members


def test_every_outcome_of_a_trial_that_trained_has_a_mark_of_its_own() -> None:
    # Inherited ones stand in a row of their own.
    assert set(OUTCOMES) - set(STYLES) == {"rejected", "duplicate", "inherited"}
    marks = [(style.symbol, style.colour) for style in STYLES.values()]
    assert len(set(marks)) == len(marks)


def test_what_was_trained_from_inherited_weights_stands_beside_no_other_accuracy() -> None:
    # They were worse than all others, and after fewer epochs.
    inheritance = Inheritance(0, 1)
    done = trial_record(10, (0.01,), outcome="inherited", inheritance=inheritance)
    records = [*RECORDS, done, dataclasses.replace(done, number=11, outcome="running")]
    page = Page(report_page(FACTS, records, []))
    assert sorted(page.drawn("untrained")) == [4, 5, 8, 9, 10, 11]
    labels = page.data["figures"]["front"]["layout"]["yaxis2"]["ticktext"]
    assert {"inherited", "rejected, no epoch"} <= set(labels)
    before = Page(report_page(FACTS, RECORDS, []))
    for role in ("trials", "line", "mark", "curves", "parallel"):
        assert page.drawn(role) == before.drawn(role)
    assert all("val_accuracy" not in trial for trial in page.data["trials"][-2:])
    rows = list(csv.DictReader(csv_table(records, front_of(records)).splitlines()))
    assert [(row["val_accuracy"], row["val_loss"], row["train_loss"]) for row in rows[-2:]] == [("", "", "")] * 2
    assert [(row["inherited_val_accuracy"], row["inherited_from"]) for row in rows[-2:]] == [("0.01", "0")] * 2
    assert all(row["inherited_val_accuracy"] == row["inherited_from"] == "" for row in rows[:-2])
    assert below_text(records) == below_text(RECORDS)
    assert importances(records, EPOCHS) == importances(RECORDS, EPOCHS)


@pytest.mark.parametrize("granularity", ["stage", "block"])
def test_a_thousand_trials_fit_the_limit(simulated: list[TrialRecord], granularity: str) -> None:
    if granularity == "block":
        space, rng = shipped_space("resnet_blocks", depth=[50], width=[1.0]), random.Random(0)
        simulated = [dataclasses.replace(record, architecture=space.sample(rng)) for record in simulated]
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


def page_of_names(name: str) -> str:
    """A page on which everything that a user or a machine names has this name."""
    cost = InferenceCost(1.5, 0.1, 2.5, name, 1, 1, 16, "float32", "blocks", "2.13.0", 30, 1.5, 1.5, 3)
    records = [dataclasses.replace(RECORDS[0], inference=cost), *RECORDS[1:]]
    records.append(trial_record(10, (), outcome="failed", reason=name))
    return report_page(SearchFacts(name, dataclasses.replace(DIGITS, name=name), 2, (0.1, 1e7)), records, [])


@pytest.mark.parametrize(
    "name",
    [
        "</script><img src=x onerror=alert(1)> & 'quotes\" <b>",
        "</title></style></noscript><!--<script>alert(1)</script>-->",
        "' onfocus='alert(1)' autofocus \" onclick=\"alert(1)\"",
        "{{ 7 * 7 }}{% raw %}{# not there #}{{ data }}",
        "&lt;b&gt; &amp;amp; \\u003cb>",
    ],
    ids=["tags", "ends of elements", "attributes", "template", "escaped already"],
)
def test_names_are_shown_and_never_run(name: str) -> None:
    text = page_of_names(name)
    page = Page(text)
    assert page.texts["title"] == name and page.texts["h1"] == name
    assert f"11 proposals on {name}: " in page.texts["totals"]
    assert f"16×16 pixels, float32, {name}, 1 thread" in page.texts["p"]
    assert page.data["trials"][-1]["reason"] == name
    assert page.tags == Page(page_of_names("digits")).tags
    assert "<!--" not in text.replace(get_plotlyjs(), "")


def test_only_files_of_the_package_are_left_unescaped() -> None:
    template = (PACKAGE / "page.html").read_text(encoding="utf-8")
    assert re.findall(r"\{\{ (.*?) \| safe \}\}", template) == ["style", "plotly", "script", "live_script"]
    assert template.count("safe }}") == 4 and "autoescape" not in template
    # A reason is shown as Plotly's markup when it is hovered over, which the script escapes.
    script, *others = ((PACKAGE / f"{name}.js").read_text(encoding="utf-8") for name in ("page", "table", "live"))
    assert not any("innerHTML" in each or "reason.slice" in each for each in others)
    assert "innerHTML" not in script and re.findall(r"trial\.reason\.slice", script) == ["trial.reason.slice"]
    assert "escaped(trial.reason.slice" in script


def test_what_the_page_is_made_of_is_installed_with_the_package() -> None:
    nas = PACKAGE.parent
    pyproject = tomllib.loads((nas.parent / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = pyproject["tool"]["setuptools"]["package-data"]["nas"]
    files = {path for path in PACKAGE.iterdir() if path.is_file() and path.suffix != ".py"}
    assert {path.name for path in files} == {
        "page.html",
        "page.css",
        "page.js",
        "table.js",
        "live.js",
        "comparison.html",
    }
    assert files <= {path for pattern in patterns for path in nas.glob(pattern)}


@pytest.mark.parametrize(
    ("records", "figures"),
    [
        ([], {"front"}),
        (RECORDS[:1], {"front", "curves", "choices", "hypervolume", "stopping"}),
        (RECORDS[:3], {"front", "parallel", "curves", "choices", "hypervolume", "stopping"}),
        (RECORDS[3:4], {"front", "curves", "stopping"}),
        (RECORDS[4:6], {"front"}),
    ],
    ids=["empty", "one trial", "several", "stopped only", "untrained only"],
)
def test_only_figures_with_something_to_show_are_there(records: list[TrialRecord], figures: set[str]) -> None:
    page = Page(report_page(FACTS, records, importances(records, 2)))
    assert set(page.data["figures"]) == figures
    assert {attributes["id"] for tag, attributes in page.tags if attributes.get("class") == "figure"} == figures
    assert sorted(page.drawn("trials", "untrained")) == [record.number for record in records]


def test_curves_and_lines_are_there_of_every_trial_that_trained() -> None:
    simulated = simulated_search(50)
    page = Page(report_page(FACTS, simulated, []))
    trained = [record for record in simulated if record.epochs]
    members = {record.number for record in front_of(simulated)}
    figures = page.data["figures"]
    curves = [number for trace in figures["curves"]["data"] for number in trace.get("customdata", [])]
    assert sorted(curves) == [record.number for record in trained if record.number not in members]
    lines = [trace for trace in figures["parallel"]["data"]]
    assert sorted(number for trace in lines for number in trace["customdata"]) == [each.number for each in trained]
    assert set(lines[-1]["customdata"]) == members
    axes = figures["parallel"]["layout"]["xaxis"]["ticktext"]
    stages = [f"stage {stage}" for stage in range(1, 5)]
    assert axes == ["stem", "depth", "channels", *stages, "FLOPs", "parameters", "accuracy"]
    by_number = {trial["number"]: trial for trial in page.data["trials"]}
    most = max(record.point[0] for record in trained)
    for record in trained:
        curve = by_number[record.number]["curve"]
        assert curve == [round(1e4 * epoch.val_accuracy) for epoch in record.epochs]
        places = page.data["places"][str(record.number)]
        assert len(places) == len(axes) and all(-0.02 <= place <= 1.02 for place in places)
        assert (places[-1] == 1) == (record.point[0] == most)


def test_repeated_trainings_are_their_mean_with_the_range() -> None:
    again = [
        dataclasses.replace(trial_record(10 + index, (0.5, accuracy), flops=3_000_000), replicate=index + 1)
        for index, accuracy in enumerate((0.81, 0.83))
    ]
    again = [dataclasses.replace(record, architecture=RECORDS[2].architecture) for record in again]
    page = Page(report_page(FACTS, [*RECORDS, *again], []))
    trials = {trial["number"]: trial for trial in page.data["trials"]}
    assert trials[2]["trainings"] == [0.81, 0.85, 3] and trials[2]["val_accuracy"] == pytest.approx(0.83)
    assert trials[11]["val_accuracy"] == 0.83 and "trainings" not in trials[11] and "trainings" not in trials[0]


def test_settings_and_commands_are_shown_as_they_are() -> None:
    background = Background("space: {name: '</pre><script>'}\n", (NextCommand("a bundle & more", "python a.py '<x>'"),))
    page = Page(report_page(FACTS, RECORDS, [], background))
    assert page.texts["settings"] == background.settings
    assert (page.texts["dt"], page.texts["code"]) == ("a bundle & more", "python a.py '<x>'--config")
    assert "settings" not in Page(report_page(FACTS, RECORDS, [])).texts


def test_an_update_of_a_live_page_has_all_but_the_scripts() -> None:
    live = Live("searching", 7, 2.0)
    whole, update = (report_page(FACTS, RECORDS, [], live=live, update=update) for update in (False, True))
    assert whole.count("<script") == 4 and update.count("<script") == 1 and len(update) < 200_000
    for text in (whole, update):
        page = Page(text)
        assert page.texts["live"] == "searching" and page.data["live"] == {"version": 7, "seconds": 2.0}
    assert Page(update).data == Page(whole).data
    assert "live" not in Page(report_page(FACTS, RECORDS, [])).texts


def test_text_says_what_is_not_there() -> None:
    assert "so there is no front" in report_page(FACTS, RECORDS[3:], [])
    assert "Stopped trials stand at the accuracy at which they were stopped." in report_page(FACTS, RECORDS, [])
    far = report_page(FACTS, RECORDS, [])
    assert "hidden until asked for" in far and not models_are_shown(far)
    near = report_page(FACTS, [trial_record(0, (0.5, 0.6), flops=10**9)], [])
    assert "hidden until asked for" not in near and models_are_shown(near)


def models_are_shown(text: str) -> bool:
    (box,) = [attributes for _, attributes in Page(text).tags if attributes.get("id") == "reference-models"]
    return "checked" in box


def test_the_table_of_the_front_has_a_cell_below_each_head() -> None:
    cost = InferenceCost(1.5, 0.1, 2.5, "CPU", 1, 1, 16, "float32", "blocks", "2.13.0", 30, 1.5, 1.5, 3)
    for records in (RECORDS, [dataclasses.replace(RECORDS[1], inference=cost), *RECORDS[2:]]):
        text = report_page(FACTS, records, []).replace(get_plotlyjs(), "")
        measured = ["ms", "MB"] if records is not RECORDS else []
        heads = ["trial", "accuracy", "FLOPs", "parameters", *measured, "depth", "channels", "stem"]
        assert re.findall(r"<th\b.*?>(.*?)</th>", text) == heads + [f"stage {stage}" for stage in range(1, 5)]
        first, second = (re.findall(r"<td.*?>(.*?)</td>", row) for row in re.findall(r"(?s)<tr>\s*<td.*?</tr>", text))
        assert first[1:4] == ["85.00%", "3 MFLOPs", "1,002"] and second[1:4] == ["90.00%", "8 MFLOPs", "1,001"]
        assert (first[4:6], second[4:6]) == ((["", ""], ["1.5", "2.5"]) if measured else (["17", "8"], ["17", "8"]))
        assert first[-5:] == ["convolution", "C", "A7×2n", "C A7×2n", "A7×2n"]


def test_latency_can_be_chosen_where_it_was_measured() -> None:
    page = Page(report_page(FACTS, RECORDS, []))
    options = [attributes for tag, attributes in page.tags if tag == "option"]
    assert [option["value"] for option in options] == ["flops", "params", "latency_ms", "epochs"]
    assert ["disabled" in option for option in options] == [False, False, True, False]
    cost = InferenceCost(1.5, 0.1, 2.5, "<CPU>", 1, 1, 16, "float32", "blocks", "2.13.0", 30, 1.5, 1.5, 3)
    text = report_page(FACTS, [dataclasses.replace(RECORDS[0], inference=cost)], [])
    page = Page(text)
    assert not any("disabled" in attributes for tag, attributes in page.tags if tag == "option")
    assert page.data["trials"][0]["latency_ms"] == 1.5 and page.data["trials"][0]["peak_memory_mb"] == 2.5
    assert cost.conditions in page.texts["p"]
