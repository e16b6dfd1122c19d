"""MLflow down, slow, failing, or dying after a write: nothing waits for it, and all is there once in the end."""

import random
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from nas.driver.lock import driver_lock
from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.ledger.location import read_ledger
from nas.records.summary import Summary, summarise
from nas.records.trial import TrialRecord
from nas.report import main
from nas.settings.run_directory import run_directory
from nas.settings.store_settings import TrackingSettings
from nas.tracking import writer_thread
from nas.tracking.environment import quiet_mlflow
from nas.tracking.tracker import Tracker
from nas.tracking.writer_thread import TrackerThread
from search_spaces.errors import UserError
from tests.entries.test_report import add_trial
from tests.entries.test_search import run
from tests.faults.searches import LIMIT_SECONDS, records, start_search
from tests.support.flaky_proxy import Fate, FlakyProxy, flaky_proxy
from tests.support.mlflow_contents import check_all_there_once
from tests.support.mlflow_server import empty_store, end_server, free_port, start_server
from tests.support.present import present
from tests.support.searches import search_header
from tests.support.simulated_search import RUNGS, simulated_search
from tests.support.without_slow_steps import without_slow_steps

REFERENCE = (0.1, 2e7)
FILES = ["front.csv", "front.html"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet_mlflow()
    monkeypatch.setattr(writer_thread, "SYNC_SECONDS", 0.05)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The store of a runs directory, as a file."""
    path = tmp_path / "runs" / "mlflow.db"
    path.parent.mkdir()
    path.write_bytes(empty_store())
    return path


def small_search(runs: Path, uri: str | None) -> Ledger:
    """A search that ended while its MLflow store could not be written."""
    directory = run_directory(str(runs), "small")
    directory.path.mkdir()
    ledger = Ledger.create(ledger_url(directory.ledger), "small", search_header(code_revision="abc"))
    ledger.record_tracking(TrackingSettings(uri, "searches").without_secrets())
    add_trial(ledger, [0.5, 0.8], "finished")
    add_trial(ledger, [0.4], "stopped")
    return ledger


def all_rows(store: Path) -> dict[str, list[tuple[object, ...]]]:
    """Everything in a SQLite store, table by table."""
    with sqlite3.connect(store) as connection:
        tables = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        return {name: sorted(connection.execute(f'select * from "{name}"'), key=repr) for name in tables}


def test_the_report_brings_into_mlflow_what_is_missing_there_once(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = small_search(store.parent, None)
    facts = ledger.header.facts("small", None)
    summary = summarise(ledger.records, facts.reference)
    assert main(["small", "--runs-dir", str(store.parent)]) == 0
    page, *lines = capsys.readouterr().out.splitlines()
    assert page == str(store.parent / "small" / "report" / "front.html")
    assert lines[0].startswith("MLflow   mlflow server")
    parent = check_all_there_once(f"sqlite:///{store}", "searches", ledger.records, summary)
    params = parent.data.params
    assert (
        parent.info.run_name == "small" and params["training.epochs"] == "2" and params["space.name"] == "resnet_stages"
    )
    assert parent.info.start_time == round(1000 * present(ledger.records[0].started_at))
    assert parent.info.end_time == round(1000 * present(ledger.records[1].finished_at))
    held = {file.path for file in MlflowClient(f"sqlite:///{store}").list_artifacts(parent.info.run_id)}
    assert held >= {"front.html", "front.png", "trials.csv"}
    rows = all_rows(store)
    assert main(["small", "--runs-dir", str(store.parent)]) == 0
    assert all_rows(store) == rows
    add_trial(ledger, [0.6], "running")
    assert main(["small", "--runs-dir", str(store.parent)]) == 0
    check_all_there_once(
        f"sqlite:///{store}", "searches", ledger.records, summarise(ledger.records, facts.reference), "FINISHED"
    )


def test_the_report_is_written_though_mlflow_cannot_be_reached(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    small_search(tmp_path / "runs", "http://me:secret@127.0.0.1:9")
    where = ["small", "--runs-dir", str(tmp_path / "runs")]
    assert main([*where, "--tracking-uri", "http://me:secret@127.0.0.1:9"]) == 1
    printed = capsys.readouterr()
    page, line = printed.out.splitlines()
    assert Path(page).is_file() and "secret" not in printed.out + printed.err
    assert line.startswith("MLflow   is not up to date") and "nas/report.py small" in line
    # The address is kept without its password, which may come from the environment.
    assert main(where) == 2
    printed = capsys.readouterr()
    [said] = without_slow_steps(printed.err)
    assert printed.out.splitlines() == [page] and "MLFLOW_TRACKING_URI" in said and "--tracking-uri" in said
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    assert main(where) == 1
    assert main([*where, "--out", str(tmp_path / "out")]) == 0


def test_a_running_search_writes_mlflow_itself(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_search(store.parent, None)
    rows = all_rows(store)
    with driver_lock(run_directory(str(store.parent), "small")):
        assert main(["small", "--runs-dir", str(store.parent)]) == 0
    assert "written by the search itself" in capsys.readouterr().out and all_rows(store) == rows


@pytest.mark.parametrize("uri", [None, "http://127.0.0.1:5000", "sqlite:////tmp/a.db"])
def test_an_address_without_secrets_is_kept_as_it_is(uri: str | None) -> None:
    settings = TrackingSettings(uri, "searches")
    assert TrackingSettings.from_kept(settings.without_secrets(), None, "--tracking-uri") == settings


def test_an_address_with_secrets_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = "http://me:secret@host:5000"
    kept = TrackingSettings(whole, "searches").without_secrets()
    assert "secret" not in str(kept)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://other:5000")
    with pytest.raises(UserError, match=r"kept without its password.*by --flag or in MLFLOW_TRACKING_URI") as raised:
        TrackingSettings.from_kept(kept, None, "--flag")
    assert "secret" not in str(raised.value)
    assert TrackingSettings.from_kept(kept, whole, "--flag").uri == whole
    monkeypatch.setenv("MLFLOW_TRACKING_URI", whole)
    assert TrackingSettings.from_kept(kept, None, "--flag").uri == whole


def test_a_server_that_takes_requests_and_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_thread, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        thread = TrackerThread(
            lambda: Tracker(uri, None, "searches", "name", "s1"), lambda: ([], summarise([], REFERENCE)), list, uri
        )
        with thread:
            while thread.failure is None:
                time.sleep(0.02)
        assert "timed out" in thread.failure
        assert thread.finish([], lambda tracker: "", interrupted=False) == thread.failure


class GrowingSearch:
    """A simulated search as it grows, epoch by epoch and trial by trial."""

    def __init__(self, trials: int) -> None:
        self.records = simulated_search(trials)
        self._shown: list[TrialRecord] = []

    def state(self) -> tuple[list[TrialRecord], Summary]:
        shown = list(self._shown)
        return shown, summarise(shown, REFERENCE)

    def grow(self, pause_seconds: float) -> Iterator[None]:
        """Shows more and more of it."""
        for record in self.records:
            for epochs in range(0, len(record.epochs), 3):
                cut = replace(record, outcome="running", epochs=record.epochs[:epochs], finished_at=None, reason=None)
                self._shown = [*self.records[: record.number], cut]
                time.sleep(pause_seconds)
                yield
        self._shown = self.records


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    directory, port = tmp_path_factory.mktemp("server"), free_port()
    (directory / "mlflow.db").write_bytes(empty_store())
    process = start_server(f"sqlite:///{directory / 'mlflow.db'}", directory / "artifacts", port, directory / "log")
    try:
        yield port
    finally:
        end_server(process)


def fates(proxy: FlakyProxy, fate: Fate, share: float) -> None:
    """Has a share of the requests, drawn at random, meet with a fate; those that are late make runs."""
    rng = random.Random(0)

    def of(path: str) -> Fate:
        spared = fate == "late" and not path.endswith("runs/create")
        return "pass" if spared or rng.random() >= share else fate

    proxy.fate = of


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fate", "share", "timeout"),
    [("slow", 0.3, "10"), ("error", 0.3, "10"), ("lost", 0.3, "10"), ("late", 0.5, "1")],
)
def test_whatever_becomes_of_requests_all_is_there_once(
    fate: Fate, share: float, timeout: str, server: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", timeout)
    monkeypatch.setattr(writer_thread, "PATIENCE_SECONDS", 60.0)
    search = GrowingSearch(8)
    files = [tmp_path / name for name in FILES]
    for path in files:
        path.write_text("x", encoding="utf-8")
    with flaky_proxy(server, 5.0 if fate == "slow" else 3.0) as proxy:
        fates(proxy, fate, share)
        thread = TrackerThread(
            lambda: Tracker(proxy.uri, None, fate, "name", fate, RUNGS), search.state, lambda: [], proxy.uri
        )
        with thread:
            for _ in search.grow(0.3):
                pass
            proxy.fate = lambda path: "pass"
        assert proxy.fates.count(fate) >= 2
        # A request that was given up arrives up to now.
        time.sleep(3.0 if fate == "late" else 0.0)
        assert thread.finish(files, lambda tracker: tracker.links, interrupted=False) is None
        parent = check_all_there_once(proxy.uri, fate, search.records, summarise(search.records, REFERENCE))
        twice = MlflowClient(proxy.uri).search_runs([parent.info.experiment_id], "", ViewType.DELETED_ONLY)
        # Late requests did make runs twice; that others did not is by looking before a request is made again.
        assert (fate == "late") == (len(twice) > 0)
        assert sorted(file.path for file in MlflowClient(proxy.uri).list_artifacts(parent.info.run_id)) == FILES


@pytest.mark.slow
def test_a_server_that_comes_and_goes_has_all_of_it_once(server: int) -> None:
    search = GrowingSearch(8)
    with flaky_proxy(server) as proxy:
        proxy.down()
        thread = TrackerThread(
            lambda: Tracker(proxy.uri, None, "gone", "name", "gone", RUNGS), search.state, lambda: [], proxy.uri
        )
        with thread:
            for index, _ in enumerate(search.grow(0.3)):
                if index % 8 == 4:
                    proxy.up()
                if index % 8 == 0:
                    proxy.down()
            proxy.down()
            proxy.up()
        assert thread.finish([], lambda tracker: tracker.links, interrupted=False) is None
        check_all_there_once(proxy.uri, "gone", search.records, summarise(search.records, REFERENCE))


@pytest.mark.slow
def test_a_search_without_mlflow_is_brought_in_later(tmp_path: Path) -> None:
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    process = start_search(tmp_path, "one", "--trials", "3", f"tracking.uri={uri}")
    output, error = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0, error
    assert "MLflow   is not up to date" in output and "nas/report.py one --runs-dir" in output
    assert "Traceback" not in error and error.count("MLflow cannot be written") == 1

    def report() -> subprocess.CompletedProcess[str]:
        return run(tmp_path, "nas/report.py", "one", seconds=LIMIT_SECONDS)

    down = report()
    assert down.returncode == 1 and "MLflow   is not up to date" in down.stdout and down.stderr == ""
    (tmp_path / "server").mkdir()
    store = tmp_path / "server" / "mlflow.db"
    store.write_bytes(empty_store())
    server = start_server(f"sqlite:///{store}", tmp_path / "server" / "artifacts", port, tmp_path / "server" / "log")
    try:
        first = report()
        assert first.returncode == 0, first.stdout + first.stderr
        rows = all_rows(store)
        assert report().returncode == 0 and all_rows(store) == rows
        ledger = read_ledger(run_directory(str(tmp_path / "runs"), "one"), None)
        reference = ledger.header.facts("one", None).reference
        found = records(tmp_path, "one")
        assert {record.outcome for record in found} <= {"finished", "stopped", "duplicate"}
        parent = check_all_there_once(uri, "architecture search", found, summarise(found, reference))
        held = {file.path for file in MlflowClient(uri).list_artifacts(parent.info.run_id)}
        assert held >= {"front.html", "front.csv", "summary.json"}
    finally:
        end_server(server)
