"""How long the report of 1,000 simulated trials takes to write, how large its page is, and how long that takes to draw.

python -m tests.benchmarks.report [OUT]

Drawing is timed where selenium and Chromium are installed.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from nas.records.front import hypervolume_history
from nas.records.search_facts import SearchFacts
from nas.reporting.importance import importances
from nas.reporting.style import REPORT_PAGE
from nas.reporting.write import write_report
from tests.support.simulated_search import DIGITS, EPOCHS, simulated_search

TRIALS = 1000
CHROMIUM_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND")


def main(arguments: list[str]) -> None:
    records = simulated_search(TRIALS)
    facts = SearchFacts("a thousand trials", DIGITS, EPOCHS, (0.1, 2e7))
    timed("hypervolume after each result", lambda: hypervolume_history(records, facts.reference))
    timed("importances", lambda: importances(records, EPOCHS))
    with tempfile.TemporaryDirectory() as scratch:
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


def timed(name: str, work: Callable[[], object]) -> None:
    """Runs `work` and prints how long it took."""
    started = time.perf_counter()
    work()
    print(f"{name}: {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
