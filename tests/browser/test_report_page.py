"""What a person does on the pages that a report is: the table and its filters, the live page, the compared fronts."""

import contextlib
import dataclasses
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.support.ui import Select, WebDriverWait

from nas.driver.live_report import LiveReport
from nas.driver.report_server import ReportServer
from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.records.comparison import ComparedSearch
from nas.records.front import front_of
from nas.records.search_facts import SearchFacts
from nas.records.trial import TrialRecord
from nas.reporting.comparison import write_comparison
from nas.reporting.page import report_page
from nas.settings.run_directory import RunDirectory, run_directory
from tests.browser.conftest import REFERENCE, SECONDS
from tests.support.searches import epoch_result, search_header, shipped_space, unsynchronised_sqlite
from tests.support.simulated_search import DIGITS, EPOCHS, simulated_search

pytestmark = pytest.mark.browser

# A page of 1,000 trials is drawn anew for each of these, on whatever else the machine does.
PATIENCE = 4 * SECONDS
both_sizes = pytest.mark.parametrize("trials", [30, 1000])


class ReportPage:
    """A page in the browser, once its script has drawn it."""

    def __init__(self, driver: webdriver.Chrome, address: str) -> None:
        self.driver = driver
        # The page before asks its server on, which has ended.
        driver.get("about:blank")
        driver.get_log("browser")
        driver.get(address)
        self.wait("return document.documentElement.dataset.drawn === 'true'")

    def wait(self, script: str, *arguments: object) -> None:
        WebDriverWait(self.driver, PATIENCE).until(lambda driver: driver.execute_script(script, *arguments), script)

    def type(self, place: str, text: str) -> None:
        box = self.driver.find_element("id", place)
        box.clear()
        box.send_keys(text)

    def shows(self, numbers: list[int]) -> None:
        """Waits until the table shows these trials in this order."""
        shown = "return [...document.querySelectorAll('#trials [data-pin]')].map(b => Number(b.dataset.pin)).join()"
        WebDriverWait(self.driver, PATIENCE).until(
            lambda driver: driver.execute_script(shown) == ",".join(map(str, numbers)), f"not the trials {numbers[:5]}"
        )

    def sort_by(self, title: str) -> None:
        self.driver.execute_script(
            "[...document.querySelectorAll('#trials th button')].find(b => b.textContent === arguments[0]).click()",
            title,
        )

    def lines(self, figure: str) -> set[int]:
        """The trials whose lines a figure holds, which is drawn when it is scrolled to."""
        self.driver.execute_script("document.getElementById(arguments[0]).scrollIntoView()", figure)
        self.wait("return !!document.getElementById(arguments[0])._fullLayout", figure)
        found = self.driver.execute_script(
            "return document.getElementById(arguments[0]).data.filter(t => t.meta).flatMap(t => t.customdata)", figure
        )
        return {number for number in found if number is not None}

    def errors(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]


@both_sizes
def test_the_table_is_sorted_and_filtered_and_the_figures_follow(
    driver: webdriver.Chrome, tmp_path: Path, trials: int
) -> None:
    records = simulated_search(trials)
    path = tmp_path / "front.html"
    path.write_text(report_page(SearchFacts("all", DIGITS, EPOCHS, REFERENCE), records, []), encoding="utf-8")
    page = ReportPage(driver, path.as_uri())
    page.shows([record.number for record in records])
    page.sort_by("FLOPs")
    page.sort_by("FLOPs")
    page.shows([record.number for record in sorted(records, key=lambda record: (-record.flops, record.number))])
    page.sort_by("trial")
    trained = [record for record in records if record.epochs]
    assert page.lines("parallel") == {record.number for record in trained}

    Select(driver.find_element("id", "state")).select_by_value("stopped")
    stopped = [record.number for record in records if record.outcome == "stopped"]
    page.shows(stopped)
    assert page.lines("parallel") == page.lines("curves") == set(stopped)
    Select(driver.find_element("id", "state")).select_by_value("front")
    page.shows(sorted(record.number for record in front_of(records)))
    driver.find_element("id", "clear").click()

    page.type("accuracy-low", "80")
    page.type("cost-high", "2.5M")
    within = [record for record in trained if (record.val_accuracy or 0) >= 0.8 and record.flops <= 2.5e6]
    page.shows([record.number for record in within])
    page.type("text", "attention")
    page.shows([record.number for record in within if record.architecture.stem == "attention"])
    page.type("cost-high", "much")
    page.wait("return document.getElementById('cost-high').ariaInvalid === 'true'")
    assert "“much” is not counted" in driver.find_element("id", "shown").text
    driver.find_element("id", "clear").click()
    page.shows([record.number for record in records])

    driver.execute_script("document.querySelector('#trials [data-pin]').click()")
    page.wait("return document.querySelectorAll('#pins [data-trial]').length === 1")
    assert page.errors() == []


@pytest.fixture
def running(tmp_path: Path, trials: int) -> Iterator[tuple[RunDirectory, Ledger]]:
    """A search that this process runs, with `trials` results, which it took over."""
    records = [record for record in simulated_search(2 * trials) if record.trained][:trials]
    results = [
        dataclasses.replace(
            record, number=number, outcome="finished", reason=None, imported_from=f"old/{number}",
            epochs=(epoch_result(1, 0.5), epoch_result(2, record.val_accuracy or 0.3)),
        )
        for number, record in enumerate(records)
    ]  # fmt: skip
    space = shipped_space(width=[0.125, 0.25, 0.5], depth=[14, 26, 38])
    directory = run_directory(str(tmp_path / "runs"), "one")
    directory.path.mkdir(parents=True)
    with unsynchronised_sqlite():
        header = search_header(space=space)
        ledger = Ledger.create(ledger_url(directory.ledger), "one", header, lambda made: made.take_over(results, space))
        ledger.record_driver(socket.gethostname(), 1)
        yield directory, ledger


@contextlib.contextmanager
def served(directory: RunDirectory) -> Iterator[ReportServer]:
    with ReportServer(LiveReport(directory, None), 0) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@both_sizes
def test_a_live_page_follows_the_search_and_keeps_what_its_reader_has_done(
    driver: webdriver.Chrome, running: tuple[RunDirectory, Ledger], trials: int
) -> None:
    directory, ledger = running
    with served(directory) as server:
        page = ReportPage(driver, server.address)
        assert driver.find_element("id", "live").text.startswith("The search runs: 0 training")
        page.sort_by("accuracy")
        page.type("accuracy-low", "30")
        page.wait("return document.getElementById('shown').textContent.startsWith('Shown: ')")
        driver.execute_script(
            "document.getElementById('trials').scrollTop = 200; window.scrollTo(0, 400); window.mine = true;"
            "document.querySelector('#trials [data-pin]').click()"
        )
        area = driver.find_element("css selector", "#front .nsewdrag")
        ActionChains(driver).move_to_element_with_offset(area, -150, -80).click_and_hold().move_by_offset(
            200, 120
        ).release().perform()
        page.wait("const y = document.getElementById('front')._fullLayout.yaxis; return y.range[1] - y.range[0] < 0.3")
        kept = (
            "return JSON.stringify([window.mine, document.querySelector('[aria-sort=ascending]').textContent,"
            "document.getElementById('accuracy-low').value, document.getElementById('trials').scrollTop,"
            "document.querySelectorAll('#pins [data-trial]').length,"
            "document.getElementById('front')._fullLayout.yaxis.range])"
        )
        before = driver.execute_script(kept)
        number = ledger.next_number
        architecture = ledger.propose(ledger.header.space, "random", search_seed=5)
        record = TrialRecord(number, architecture, 10**7, 10, 0, "running")
        ledger.register(record, ledger.header.space)
        ledger.record_epoch(number, epoch_result(1, 0.999))
        page.wait("return document.getElementById('live').textContent.includes('1 training')")
        page.wait("return !!document.querySelector('#trials [data-pin=\"' + arguments[0] + '\"]')", number)
        assert driver.execute_script(kept) == before
        ledger.record_end_of_driver()
        page.wait("return document.getElementById('live').textContent.includes('has ended')")
        assert page.errors() == []
    page.wait("return document.getElementById('live-trouble').textContent.startsWith('Nobody serves this page')")


@both_sizes
def test_compared_fronts_are_one_figure(driver: webdriver.Chrome, tmp_path: Path, trials: int) -> None:
    names = ("one", "other", "third")
    searches = [
        ComparedSearch(
            SearchFacts(name, DIGITS, EPOCHS, REFERENCE), simulated_search(trials, seed), {"search.seed": seed}, None
        )
        for seed, name in enumerate(names)
    ]
    write_comparison(tmp_path, searches, [])
    driver.get("about:blank")
    driver.get_log("browser")
    driver.get((tmp_path / "comparison.html").as_uri())
    WebDriverWait(driver, SECONDS).until(
        lambda driver: driver.execute_script("return !!document.getElementById('fronts')._fullLayout")
    )
    drawn = driver.execute_script(
        "return document.getElementById('fronts').data.map(trace => [trace.name, trace.x.length, trace.line.color])"
    )
    assert [name for name, *_ in drawn] == list(names) and len({colour for *_, colour in drawn}) == 3
    assert [count for _, count, _ in drawn] == [len(front_of(search.records)) for search in searches]
    assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []
