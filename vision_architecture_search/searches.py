"""A search, from Python: what it has found, as tables and pictures, and the search itself, begun or gone on with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces.architecture import Architecture
from search_spaces.errors import UserError
from search_spaces.extras import lacks_the_search
from search_spaces.paths import check_others_are_not_in
from search_spaces.run_files import DEFAULT_RUNS_DIRECTORY
from vision_architecture_search.bundles import OpenBundle, open_bundle
from vision_architecture_search.given import (
    absolute_path,
    check_called,
    given_count,
    given_path,
    given_settings,
    given_text,
    given_truth,
)
from vision_architecture_search.running import Output, Progress, run_search, words_of

if TYPE_CHECKING:
    from pandas import DataFrame

    from nas.ledger.contents import LedgerContents
    from nas.records.search_status import SearchStatus
    from nas.records.summary import Summary
    from nas.records.trial import TrialRecord
    from nas.reporting.pictures import Picture
    from nas.settings.run_directory import RunDirectory


@dataclass(frozen=True, slots=True)
class Search:
    """A search, running or not. Whatever it is asked is read from its ledger at that moment.

    `runs_dir` is where searches are kept. `ledger_url` is the address of the ledger where that is not in the search's
    directory; its password may be in the environment, by NAS_LEDGER_URL.
    """

    name: str
    runs_dir: str = DEFAULT_RUNS_DIRECTORY
    ledger_url: str | None = None

    @property
    def directory(self) -> Path:
        """Where all lies that the search writes."""
        return self._directory().path

    def trials(self) -> "DataFrame":
        """All trials by their number, as in the report's `trials.csv`: outcome, accuracy, FLOPs, architecture …"""
        from nas.records.front import front_of

        records = self._ledger().records
        return _table(records, front_of(records))

    def front(self) -> "DataFrame":
        """The members of the front by rising cost, with the columns of `trials`."""
        from nas.records.front import front_of

        members = front_of(self._ledger().records)
        return _table(members, members)

    def architecture(self, trial: int) -> Architecture:
        """The architecture of a trial, by its number. Raises UserError where there is no such trial."""
        number = given_count("trial", trial, least=0)
        records = {record.number: record for record in self._ledger().records}
        if number not in records:
            expected = f"expected 0 to {max(records)}" if records else "it has begun none yet"
            raise UserError(f"search {self.name!r} has no trial {number}: {expected}.")
        return records[number].architecture

    def draw_front(self) -> "Picture":
        """The front among all trials, as a Matplotlib figure, which a notebook shows."""
        from nas.reporting.pictures import front_picture

        ledger = self._ledger()
        return front_picture(ledger.header.facts(self.name, ledger.most_latency_ms), ledger.records)

    def summary(self) -> "Summary":
        """What the search came to so far: front, hypervolume, what it gains over the anchors, what it took."""
        from nas.records.summary import summarise

        ledger = self._ledger()
        facts = ledger.header.facts(self.name, ledger.most_latency_ms)
        return summarise(ledger.records, facts.reference, facts.cost_names, facts.data.validation_images)

    def status(self) -> "SearchStatus":
        """What the search is doing: its running trials, what failed, and who drives it."""
        from nas.driver.running_search import status_of

        return status_of(self._directory(), self._ledger())

    def report(self, out: str | Path | None = None) -> Path:
        """Writes the report, an interactive page with pictures and tables. The page.

        Raises OSError where it cannot be written.
        """
        from nas.driver.commands import background_of
        from nas.reporting.style import REPORT_PAGE
        from nas.reporting.write import write_report

        directory, ledger = self._directory(), self._ledger()
        facts = ledger.header.facts(self.name, ledger.most_latency_ms)
        background = background_of(directory, ledger.header, ledger.driver)
        where = directory.report if out is None else absolute_path("out", out)
        if out is not None:
            check_others_are_not_in(where, REPORT_PAGE, "out")
        return write_report(where, facts, ledger.records, background)[0]

    def export(self, pick: str = "knee", out: str | Path | None = None, *, onnx: bool = False) -> OpenBundle:
        """Writes an architecture as a bundle: `knee`, `accuracy`, `within=1%`, `max-flops=5M`, `trial=12` and so on.

        `out` is by default `bundles/NAME-TRIAL`. Raises UserError, and OSError where it cannot be written.
        """
        from nas.driver.bundle_export import export_bundle
        from nas.driver.export_plan import plan_export
        from nas.driver.texts import silent_console

        directory, ledger = self._directory(), self._ledger()
        picked, onnx = given_text("pick", pick), given_truth("onnx", onnx)
        plan = plan_export(directory, ledger, picked, None if out is None else absolute_path("out", out), onnx=onnx)
        export_bundle(silent_console(), plan, directory, ledger)
        return open_bundle(plan.out)

    def resume(
        self,
        settings: Mapping[str, Any] | None = None,
        *,
        progress: Progress | None = None,
        output: Output | None = None,
    ) -> "Search":
        """Goes on with the search, to its end; with a higher `search.trials` it goes further.

        `settings`, `progress` and `output` are as those of `start_search`.
        """
        check_called(progress=progress, output=output)
        ledger = {} if self.ledger_url is None else {"ledger.url": self.ledger_url}
        words = ["--resume", self.name, "--runs-dir", self.runs_dir, *words_of({**ledger, **given_settings(settings)})]
        run_search(words, progress, output, self.ledger_url)
        return self

    def extend(self, trials: int, *, progress: Progress | None = None, output: Output | None = None) -> "Search":
        """Goes on with the search for so many more architectures than it was limited to, one or more."""
        limit = self._ledger().header.search.trials + given_count("trials", trials)
        return self.resume({"search.trials": limit}, progress=progress, output=output)

    def change_limits(self, **limits: Any) -> str:
        """Changes the limits of the search while it runs: `trials`, `epochs`, `time_budget`. What its driver says.

        Raises UserError where it does not run.
        """
        from nas.driver.running_search import change_running

        return change_running(self._directory(), self.ledger_url, limits)

    def stop(self) -> str:
        """Ends the search, which another process drives, in order. What its driver says."""
        from nas.driver.running_search import change_running

        return change_running(self._directory(), self.ledger_url, {}, stop=True)

    def _directory(self) -> "RunDirectory":
        from nas.ledger.location import found_run

        return found_run(self.runs_dir, given_text("name", self.name), self.ledger_url)

    def _ledger(self) -> "LedgerContents":
        from nas.ledger.location import read_ledger

        return read_ledger(self._directory(), self.ledger_url)


def open_search(name: str, runs_dir: str | Path = DEFAULT_RUNS_DIRECTORY, ledger_url: str | None = None) -> Search:
    """The search `name` that is kept in `runs_dir`. Raises UserError where there is none, naming the nearest."""
    lacking = lacks_the_search("a search")
    if lacking is not None:
        raise UserError(lacking)
    if ledger_url is not None:
        given_text("ledger_url", ledger_url)
    search = Search(name, str(absolute_path("runs_dir", runs_dir)), ledger_url)
    search._ledger()
    return search


def start_search(
    space: str | Path = "resnet_stages",
    settings: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    runs_dir: str | Path = DEFAULT_RUNS_DIRECTORY,
    progress: Progress | None = None,
    output: Output | None = None,
) -> Search:
    """Begins a search and runs it to its end, or until it is told to stop; it is `nas/search.py` that runs.

    `space` is the name of one that comes with the project, or a YAML file; `settings` are those of the command line by
    their full names, as `{"data": "digits", "search.trials": 8, "training.epochs": 3, "space.depth": [26]}`. `progress`
    is called with a `SearchProgress` whenever something was trained, and `output` with each line that the search
    prints. Where one of them raises, or on an interrupt, it ends in order, and can be gone on with.

    Raises UserError on a mistake, and SearchFailed where the search could not go on.
    """
    check_called(progress=progress, output=output)
    named = [] if name is None else ["--name", given_text("name", name)]
    settings = given_settings(settings)
    runs = str(absolute_path("runs_dir", runs_dir))
    words = ["--space", given_path("space", space), "--runs-dir", runs, *named, *words_of(settings)]
    ledger_url = settings.get("ledger.url")
    directory = run_search(words, progress, output, ledger_url)
    return Search(directory.name, runs, ledger_url)


def _table(records: "list[TrialRecord] | tuple[TrialRecord, ...]", front: "list[TrialRecord]") -> "DataFrame":
    import pandas

    from nas.reporting.tables import CSV_COLUMNS, trial_rows

    columns = ["label", *CSV_COLUMNS]
    rows = [
        {**row, "label": record.architecture.label}
        for row, record in zip(trial_rows(records, front), records, strict=True)
    ]
    return pandas.DataFrame(rows, columns=columns).set_index("number")
