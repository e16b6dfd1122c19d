"""The same search written to a server over HTTP and to PostgreSQL behind it, with the server gone for a while."""

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from nas.records import TrialRecord, front_of
from nas.run_fields import epoch_metrics
from nas.summary import summarise
from nas.tracking import Tracker, quiet_mlflow
from tests.mlflow_server import end_server, free_port, start_server
from tests.simulated_search import RUNGS, simulated_search

pytestmark = pytest.mark.slow

REFERENCE = (0.1, 2e7)
DRIVER = "psycopg"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet_mlflow()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def postgresql_binaries() -> Path | None:
    found = shutil.which("pg_ctl")
    candidates = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((path for path in candidates if (path / "initdb").is_file()), None)


@pytest.fixture
def postgresql() -> Iterator[str]:
    """A private PostgreSQL cluster on loopback. Its server refuses to run as root, who lends it to another user."""
    binaries = postgresql_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server (initdb, pg_ctl) on this machine")
    if importlib.util.find_spec(DRIVER) is None:
        pytest.skip(f"no {DRIVER}: pip install -e '.[postgresql]'")
    # A directory of its own: those of pytest are closed to other users.
    directory = Path(tempfile.mkdtemp(prefix="cluster-"))
    user = None
    if os.geteuid() == 0:
        user = next((name for name in ("postgres", "nobody") if _exists(name)), None)
        if user is None:
            pytest.skip("PostgreSQL refuses to run as root, and there is no other user")
        shutil.chown(directory, user)
    data, port = directory / "data", free_port()

    def call(program: str, *arguments: str) -> None:
        subprocess.run([str(binaries / program), *arguments], user=user, cwd=directory, check=True, timeout=120,
                       stdout=subprocess.DEVNULL)  # fmt: skip

    try:
        call("initdb", "--pgdata", str(data), "--username", "writer", "--auth", "trust", "--encoding", "UTF8")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={directory} -c fsync=off"
        call("pg_ctl", "--pgdata", str(data), "--wait", "--log", str(directory / "log"), "-o", options, "start")
        try:
            yield f"postgresql+{DRIVER}://writer:unused@127.0.0.1:{port}/postgres"
        finally:
            call("pg_ctl", "--pgdata", str(data), "--wait", "--mode", "fast", "stop")
    finally:
        shutil.rmtree(directory)


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def write(uri: str, artifacts: Path | None, records: list[TrialRecord]) -> Tracker:
    tracker = Tracker(uri, artifacts, "searches", "name", "s1", RUNGS)
    tracker.describe({"training.epochs": 18}, {"nas.code_revision": "abc"})
    tracker.sync(records, summarise(records, REFERENCE))
    return tracker


def check_everything_is_there_once(uri: str, records: list[TrialRecord]) -> None:
    client = MlflowClient(uri)
    found = client.search_runs([client.get_experiment_by_name("searches").experiment_id], max_results=1000)
    trials = {int(run.data.tags["nas.trial"]): run for run in found if run.data.tags["nas.kind"] == "trial"}
    trained = [record for record in records if record.trained]
    assert len(found) == len(trained) + 1 and set(trials) == {record.number for record in trained}
    assert {number for number, run in trials.items() if run.data.tags.get("pareto") == "front"} == {
        record.number for record in front_of(records)
    }
    for record in trained:
        for metric in ("val_accuracy", "epoch_seconds"):
            history = client.get_metric_history(trials[record.number].info.run_id, metric)
            expected = [(point.step, point.value) for point in epoch_metrics(record, 0) if point.name == metric]
            assert sorted((point.step, point.value) for point in history) == expected


def halves(trials: int) -> tuple[list[TrialRecord], list[TrialRecord]]:
    """A search at half its way, and at its end."""
    records = simulated_search(trials)
    return records[: len(records) // 2], records


def through_an_outage(store: str, tmp_path: Path) -> None:
    """Writes half a search to a server, ends the server, fails, starts it again, and writes the rest."""
    early, records = halves(12)
    port, log = free_port(), tmp_path / "server.log"
    uri = f"http://127.0.0.1:{port}"
    server = start_server(store, tmp_path / "artifacts", port, log)
    try:
        tracker = write(uri, None, early)
        end_server(server)
        with pytest.raises(Exception, match=r"HTTP|[Cc]onnection|Max retries"):
            tracker.sync(records, summarise(records, REFERENCE))
        server = start_server(store, tmp_path / "artifacts", port, log)
        tracker.reload()
        tracker.sync(records, summarise(records, REFERENCE))
        (tmp_path / "front.html").write_text("<p>", encoding="utf-8")
        tracker.log_files([tmp_path / "front.html"])
        tracker.finish(tracker.links, interrupted=False)
        check_everything_is_there_once(uri, records)
    finally:
        end_server(server)


def test_a_server_over_http_through_an_outage(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    through_an_outage(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path)
    # MLflow's client would print an address for each run that ends.
    assert capfd.readouterr().out == ""


def test_a_server_with_postgresql_behind_it_through_an_outage(postgresql: str, tmp_path: Path) -> None:
    through_an_outage(postgresql, tmp_path)


def test_postgresql_itself_written_twice(postgresql: str, tmp_path: Path) -> None:
    early, records = halves(12)
    write(postgresql, tmp_path / "artifacts", early)
    write(postgresql, tmp_path / "artifacts", records)
    write(postgresql, tmp_path / "artifacts", records)
    check_everything_is_there_once(postgresql, records)
