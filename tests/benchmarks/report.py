"""How long the report of 1,000 simulated trials takes to write, how large its page is, and how long that takes to draw.

python -m tests.benchmarks.report [OUT]

Of the whole command, nas/report.py on a ledger, seconds and CPU are beside those of a loop of Python, since machines
are not alike and other work slows both. Reading the ledger is beside the same by Optuna.
Drawing is timed where selenium and Chromium are installed.
"""

import dataclasses
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from nas.ledger.database import existing_study, ledger_url
from nas.ledger.ledger import Ledger
from nas.ledger.sqlite_files import read_sqlite
from nas.records.front import hypervolume_history
from nas.records.search_facts import SearchFacts
from nas.records.trial import TrialRecord
from nas.reporting.importance import importances
from nas.reporting.style import REPORT_PAGE
from nas.reporting.write import write_report
from tests.project.rooms import PROJECT
from tests.support.searches import search_header, search_settings, shipped_space, unsynchronised_sqlite
from tests.support.simulated_search import DIGITS, EPOCHS, simulated_search

TRIALS = 1000
CHROMIUM_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND")


def main(arguments: list[str]) -> None:
    records = simulated_search(TRIALS)
    facts = SearchFacts("a thousand trials", DIGITS, EPOCHS, (0.1, 2e7))
    timed("hypervolume after each result", lambda: hypervolume_history(records, facts.reference))
    timed("importances", lambda: importances(records, EPOCHS))
    with tempfile.TemporaryDirectory() as scratch:
        whole_command(records, Path(scratch) / "runs")
        out = Path(arguments[0] if arguments else scratch)
        timed("the whole report", lambda: write_report(out, facts, records))
        page = (out / REPORT_PAGE).resolve()
        print(f"the page: {page.stat().st_size / 1e6:.2f} MB, {TRIALS:,} trials and {len(records) - TRIALS} others")
        chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
        if chromium is None or driver is None:
            print("drawn: needs chromium and chromedriver")
            return
        from selenium import webdriver

        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for flag in CHROMIUM_FLAGS:
            options.add_argument(flag)
        browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        try:
            browser.set_window_size(1200, 1000)
            for _ in range(3):
                browser.get(page.as_uri())
                while browser.execute_script("return document.documentElement.dataset.drawn") != "true":
                    time.sleep(0.01)
                milliseconds = browser.execute_script("return performance.now()")
                print(f"opened and drawn in {milliseconds / 1000:.2f} s")
        finally:
            browser.quit()


def whole_command(records: list[TrialRecord], runs: Path) -> None:
    """Writes a ledger of `records`, and times the reading of it and nas/report.py."""
    (runs / "thousand").mkdir(parents=True)
    url = ledger_url(runs / "thousand" / "ledger.db")
    space = shipped_space(width=[0.125, 0.25, 0.5], depth=[14, 26, 38])
    header = search_header(space=space, data_summary=DIGITS, search=search_settings(trials=TRIALS))
    header = dataclasses.replace(header, training=dataclasses.replace(header.training, epochs=EPOCHS))
    with unsynchronised_sqlite():
        ledger = Ledger.create(url, "thousand", header)
        for record in records:
            begun = dataclasses.replace(record, outcome="running", epochs=(), reason=None)
            ledger.register(begun if record.trained else record, space)
            for epoch in record.epochs:
                ledger.record_epoch(record.number, epoch)
            if record.trained:
                ledger.end(record.number, record.outcome)
    study = existing_study(url, "thousand")
    timed("trials of the ledger", lambda: read_sqlite(runs / "thousand" / "ledger.db", "thousand"))
    timed("the same by Optuna", lambda: study.get_trials(deepcopy=False))
    command = [sys.executable, PROJECT / "nas/report.py", "thousand", "--runs-dir", runs, "--out", runs / "report"]
    for name, words in (
        ("a loop of 10 million additions", [sys.executable, "-c", "sum(1 for _ in range(10_000_000))"]),
        ("nas/report.py", command),
    ):
        before = os.times()
        timed(name, functools.partial(subprocess.run, words, check=True, stdout=subprocess.DEVNULL))
        after = os.times()
        busy = after.children_user + after.children_system - before.children_user - before.children_system
        print(f"  {busy:.2f} s of CPU")


def timed(name: str, work: Callable[[], object]) -> None:
    """Runs `work` and prints how long it took."""
    started = time.perf_counter()
    work()
    print(f"{name}: {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
