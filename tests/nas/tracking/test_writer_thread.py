"""The thread that writes MLflow: outages, the end of a search, and what it never waits for or says."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from mlflow import MlflowClient

from nas.records.summary import Summary, summarise
from nas.records.trial import TrialRecord
from nas.tracking import writer_thread
from nas.tracking.tracker import Tracker
from nas.tracking.writer_thread import LONGEST_REASON, TrackerThread, reason_of
from tests.support.mlflow_server import empty_store
from tests.support.present import present
from tests.support.searches import trial_record

REFERENCE = (0.1, 10_000_000.0)
NOBODY = "http://me:secret@127.0.0.1:9"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(writer_thread, "SYNC_SECONDS", 0.05)


@pytest.fixture
def store(tmp_path: Path) -> str:
    (tmp_path / "mlflow.db").write_bytes(empty_store())
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def records() -> list[TrialRecord]:
    return [trial_record(0, (0.5, 0.8), flops=4_000_000), trial_record(1, (0.6,), flops=3_000_000, outcome="running")]


def state(held: Sequence[TrialRecord]) -> Callable[[], tuple[Sequence[TrialRecord], Summary]]:
    return lambda: (held, summarise(held, REFERENCE))


def maker(uris: Sequence[str], tmp_path: Path) -> Callable[[], Tracker]:
    return lambda: Tracker(uris[0], tmp_path / "artifacts", "searches", "name", "s1")


def no_report() -> list[Path]:
    raise AssertionError("no report is due")


def run_tags(store: str) -> list[str]:
    client = MlflowClient(store)
    found = client.search_runs([present(client.get_experiment_by_name("searches")).experiment_id])
    return sorted(run.data.tags.get("nas.trial", "parent") for run in found)


def test_an_outage_only_delays_and_no_password_is_told(
    store: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    uris = [NOBODY, store]
    thread = TrackerThread(maker(uris, tmp_path), state(records()), no_report, NOBODY)
    with caplog.at_level(logging.DEBUG, "nas"):
        with thread:
            deadline = time.monotonic() + 30
            while thread.failure is None and time.monotonic() < deadline:
                time.sleep(0.02)
            failure = present(thread.failure)
            assert thread.tracker is None
            assert "secret" not in failure and "Connection refused" in failure
            assert len(failure) < 170
            uris.pop(0)
        assert thread.failure is None and run_tags(store) == ["0", "1", "parent"]
    assert len(caplog.records) == 1 and "MLflow cannot be written" in caplog.text and "secret" not in caplog.text
    assert "secret" not in "".join(capfd.readouterr())


def test_the_end_is_written_whole(store: str, tmp_path: Path) -> None:
    held = records()
    (tmp_path / "front.csv").write_text("a\n", encoding="utf-8")
    with TrackerThread(maker([store], tmp_path), state(held), no_report, store) as thread:
        pass
    held.append(trial_record(2, (0.4, 0.7)))  # such as a measurement, made after the last turn
    thread.finish([tmp_path / "front.csv"], lambda tracker: f"{tracker.links} and words", interrupted=False)
    assert thread.failure is None and thread.tracker is not None
    parent = MlflowClient(store).get_run(thread.tracker.run_id)
    assert parent.info.status == "FINISHED" and parent.data.tags["mlflow.note.content"].endswith(" and words")
    assert [file.path for file in MlflowClient(store).list_artifacts(thread.tracker.run_id)] == ["front.csv"]
    assert run_tags(store) == ["0", "1", "2", "parent"]


def test_a_store_that_never_answers_is_given_up_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_thread, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(writer_thread, "FIRST_ANSWER_SECONDS", 0.3)
    answer = threading.Event()

    def make() -> Tracker:
        answer.wait()
        raise ConnectionError("too late")

    try:
        with TrackerThread(make, state(records()), no_report, NOBODY) as thread:
            pass
        # The writer still waits, and nobody for it.
        assert not answer.is_set() and thread.failure == "no answer for 0 s"
        thread.finish([], lambda tracker: "", interrupted=False)
        assert thread.tracker is None and thread.failure == "no answer for 0 s"
    finally:
        answer.set()


def test_after_much_work_the_writer_rests(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And where it is to end, it ends at once."""
    monkeypatch.setattr(writer_thread, "REST", 1e9)
    held, turns = records(), [0]

    def counted() -> tuple[Sequence[TrialRecord], Summary]:
        turns[0] += 1
        return held, summarise(held, REFERENCE)

    with TrackerThread(maker([store], tmp_path), counted, no_report, store) as thread:
        deadline = time.monotonic() + 30
        while not turns[0] and time.monotonic() < deadline:
            time.sleep(0.02)
        # A turn asks twice; the next would come after 0.05 s.
        time.sleep(1.0)
        asked = turns[0]
        held.append(trial_record(2, (0.4, 0.7)))
    assert asked <= 2 and thread.failure is None
    assert run_tags(store) == ["0", "1", "2", "parent"]


def test_a_search_is_never_kept_waiting(tmp_path: Path) -> None:
    """Whatever MLflow does, entering, running and reading the state go on: all else happens in the thread."""
    answer, asked = threading.Event(), threading.Event()

    def make() -> Tracker:
        asked.set()
        answer.wait()
        raise ConnectionError("down")

    thread = TrackerThread(make, state(records()), no_report, NOBODY)
    with thread:
        assert asked.wait(30)
        # MLflow hangs, and this thread is here all the same.
        assert thread.tracker is None
        answer.set()
    assert thread.failure == "down"


def test_the_report_is_logged_when_the_front_has_changed(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_thread, "REPORT_SECONDS", 0.0)
    held = records()
    written: list[int] = []

    def write_report() -> list[Path]:
        written.append(len(held))
        (tmp_path / "front.html").write_text(str(held), encoding="utf-8")
        return [tmp_path / "front.html"]

    thread = TrackerThread(maker([store], tmp_path), state(held), write_report, store)
    thread._attempt(thread._turn)
    thread._attempt(thread._turn)
    assert written == [2] and thread.failure is None
    held.append(trial_record(2, (0.4, 0.9), flops=2_000_000))
    thread._next_report = 0.0
    thread._attempt(thread._turn)
    assert written == [2, 3]
    assert thread.tracker is not None
    artifact = MlflowClient(store).download_artifacts(thread.tracker.run_id, "front.html", str(tmp_path))
    assert Path(artifact).read_text(encoding="utf-8") == str(held)


def test_a_long_reason_is_cut_between_words() -> None:
    words = [f"word{number}" for number in range(60)]
    reason = reason_of(ValueError(" ".join(words)), "http://host")
    assert len(reason) <= LONGEST_REASON + 3
    assert set(reason.split()) - {"…"} <= set(words) and reason.startswith("word0 ") and reason.endswith(" word59")
    hint = "(raised as a result of Query-invoked autoflush; consider using a session.no_autoflush block)"
    assert reason_of(ValueError(f"{hint}\n(sqlite3.OperationalError) disk is full"), "http://host") == (
        "(sqlite3.OperationalError) disk is full"
    )
    assert reason_of(ValueError(hint), "http://host").startswith("(raised")
    assert len(reason_of(ValueError("x" * 500), "http://host")) == LONGEST_REASON + 3
