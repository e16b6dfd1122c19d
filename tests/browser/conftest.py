"""A headless browser without a network, and a real MLflow server over searches that nobody ran."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.common.exceptions import JavascriptException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from nas.records.comparison import ComparedSearch
from nas.records.front import front_of
from nas.records.search_facts import SearchFacts
from nas.records.summary import summarise
from nas.records.trial import TrialRecord
from nas.reporting.comparison import write_comparison
from nas.reporting.write import write_report
from nas.tracking.compared_fronts import log_comparison
from nas.tracking.environment import quiet_mlflow
from nas.tracking.tracker import Tracker
from tests.support.mlflow_server import mlflow_server
from tests.support.simulated_search import DIGITS, EPOCHS, RUNGS, simulated_search

BROWSERS = ("chromium", "google-chrome", "chromium-browser", "chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-quic", "--hide-scrollbars", "--window-size=1500,1100",
)  # fmt: skip
# Nothing but this machine can be reached.
NO_NETWORK = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"

# MLflow 3.17's own page asks for the user of a server that has no users.
KNOWN_ERRORS = ("/users/current",)

REFERENCE = (0.1, 2e7)
SECONDS = 60
POINTS = """
return [...document.querySelectorAll(".js-plotly-plot")].map(plot => ({
    axes: [plot.layout.xaxis.title.text, plot.layout.yaxis.title.text],
    points: plot.data.flatMap(trace => Array.from(trace.x).map(
        (x, i) => [x, trace.y[i], [].concat(trace.marker.color)[i] ?? trace.marker.color, [].concat(trace.text)[i]])),
}))
"""


@dataclass(frozen=True, slots=True)
class Plot:
    """A scatter as it stands on the page: what its axes are called, and (x, y, colour, text) of its points."""

    axes: tuple[str, str]
    points: tuple[tuple[float, float, str, str], ...]


class Browser:
    """A browser on one MLflow server."""

    def __init__(self, driver: webdriver.Chrome, address: str) -> None:
        self.driver = driver
        self.address = address

    def open(self, path: str) -> None:
        self.driver.get("about:blank")
        self.driver.get(f"{self.address}/{path}")

    def wait(self, condition: Callable[[webdriver.Chrome], Any], message: str) -> Any:
        return WebDriverWait(self.driver, SECONDS, ignored_exceptions=(JavascriptException,)).until(condition, message)

    def click_link(self, text: str) -> None:
        """Waits for the link of exactly this text, clicks it once, and goes on in the tab that it opens."""
        xpath = f"//a[normalize-space()='{text}']"
        self.wait(lambda driver: driver.find_elements("xpath", xpath), f"no link {text!r}")
        (tab,) = self.driver.window_handles
        self.driver.find_element("xpath", xpath).click()
        self.wait(lambda driver: len(driver.window_handles) == 2, f"link {text!r} opens no tab")
        self.driver.close()
        (opened,) = (handle for handle in self.driver.window_handles if handle != tab)
        self.driver.switch_to.window(opened)

    def plots(self) -> list[Plot]:
        return [
            Plot(tuple(plot["axes"]), tuple(tuple(point) for point in plot["points"]))
            for plot in self.driver.execute_script(POINTS)
        ]

    def plot_of(self, x_axis: str) -> Plot:
        """Waits for the scatter over this metric, scrolling to it: charts out of sight are not drawn."""

        def drawn(driver: webdriver.Chrome) -> Plot | None:
            plots = self.plots()
            found = [plot for plot in plots if plot.axes[0] == x_axis and plot.points]
            if plots and not found:
                driver.execute_script(
                    """const area = document.querySelector("[data-testid=experiment-view-compare-runs-chart-area]");
                    if (area) area.scrollBy(0, 200)"""
                )
            return found[0] if found else None

        plot = self.wait(drawn, f"no scatter over {x_axis}")
        assert isinstance(plot, Plot)
        return plot

    def errors(self) -> list[str]:
        """What the console held of errors since the last call, MLflow's known ones left out."""
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE" and not any(known in entry["message"] for known in KNOWN_ERRORS)
        ]


@dataclass(frozen=True, slots=True)
class ShownSearch:
    """A search in the store: what the ledger would hold, where MLflow shows it, and others that it is compared with."""

    records: tuple[TrialRecord, ...]
    experiment_path: str
    front_path: str
    report_path: str
    compared: tuple[ComparedSearch, ...]

    @property
    def front(self) -> list[TrialRecord]:
        return front_of(self.records)


def _driver() -> webdriver.Chrome:
    binary = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    chromedriver = shutil.which("chromedriver")
    if binary is None or chromedriver is None:
        pytest.skip("no Chromium or no chromedriver: make browser")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, NO_NETWORK):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(chromedriver))


def facts(name: str) -> SearchFacts:
    return SearchFacts(name, DIGITS, EPOCHS, REFERENCE)


def fill(store: str, directory: Path, trials: int) -> ShownSearch:
    """Writes a simulated search into a store, in an experiment of its own, as a search would at its end."""
    records = simulated_search(trials)
    name = f"digits-{trials}"
    tracker = Tracker(store, directory / "artifacts", f"search of {trials}", name, f"{trials:032x}", RUNGS)
    tracker.describe({"training.epochs": EPOCHS}, {"nas.code_revision": "0123456789ab"})
    tracker.sync(records, summarise(records, REFERENCE))
    tracker.log_files(write_report(directory / name, facts(name), records))
    tracker.finish(tracker.links, interrupted=False)
    compared = tuple(
        ComparedSearch(facts(f"seed {seed}"), simulated_search(trials, seed), {"search.seed": seed}, None)
        for seed in range(3)
    )
    ids = [f"{trials:016x}{seed:016x}" for seed in range(3)]
    page, *others = write_comparison(directory / f"compared-{trials}", compared, [])
    log_comparison(store, f"search of {trials}", compared, ids, [page, *others], "Nothing is said.", 1_790_000_000_000)
    # The experiment's page is the front's without the view.
    path, _, query = tracker.front_path.partition("?")
    experiment_path = f"{path}?{query.split('&')[0]}"
    return ShownSearch(tuple(records), experiment_path, tracker.front_path, tracker.report_path, compared)


@pytest.fixture(scope="session")
def searches(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, dict[int, ShownSearch]]:
    """A store with a search of 30 trials and one of 1,000, its artifacts, and the searches by their size."""
    quiet_mlflow()
    directory = tmp_path_factory.mktemp("mlflow")
    store = f"sqlite:///{directory / 'mlflow.db'}"
    return store, directory / "artifacts", {trials: fill(store, directory, trials) for trials in (30, 1000)}


@pytest.fixture(scope="session")
def driver() -> Iterator[webdriver.Chrome]:
    browser = _driver()
    yield browser
    browser.quit()


@pytest.fixture(scope="session")
def address(driver: webdriver.Chrome, searches: tuple[str, Path, dict[int, ShownSearch]]) -> Iterator[str]:
    """The server's address. It asks for the browser first, so that without one nothing is filled or started."""
    with mlflow_server(searches[0], searches[1]) as found:
        assert urlsplit(found).hostname == "127.0.0.1"
        yield found


@pytest.fixture
def browser(driver: webdriver.Chrome, address: str) -> Browser:
    driver.get("about:blank")
    driver.get_log("browser")
    return Browser(driver, address)


@pytest.fixture
def shown(request: pytest.FixtureRequest, searches: tuple[str, Path, dict[int, ShownSearch]]) -> ShownSearch:
    return searches[2][request.param]
