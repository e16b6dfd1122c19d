"""A ledger in PostgreSQL whose database, or whose driver, goes away: nothing is lost, and nothing written twice."""

import contextlib
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy import Engine, NullPool, create_engine, text
from sqlalchemy.exc import IntegrityError, OperationalError

from nas.ledger import driver_claim, postgresql
from nas.ledger.contents import reason
from nas.ledger.database import loss_of_ledger
from nas.ledger.driver_claim import ClaimIsTaken, DriverClaim
from nas.ledger.location import open_ledger, read_ledger
from nas.records.summary import summarise
from nas.settings.address_checks import with_driver
from nas.settings.run_directory import run_directory
from nas.settings.store_settings import LEDGER_VARIABLE
from search_spaces.errors import UserError
from tests.entries.test_report import add_trial
from tests.entries.test_search import run, start
from tests.faults.searches import LIMIT_SECONDS, checkpoints, driven, start_search, tree, wait_for
from tests.support.mlflow_contents import check_all_there_once
from tests.support.postgresql_server import PASSWORD, PostgresqlServer, mortal_postgresql_server, postgresql_server
from tests.support.present import present
from tests.support.searches import epoch_result

NOBODY = "postgresql://me:secret@127.0.0.1:9/searches"


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LEDGER_VARIABLE, raising=False)


def test_only_a_database_that_is_away_is_a_loss() -> None:
    away = StorageInternalError("failed")
    away.__cause__ = OperationalError("insert", {}, Exception("connection refused\nIs the server running?"))
    assert loss_of_ledger(away) == "connection refused" == reason(away, NOBODY)
    wrong = StorageInternalError("failed")
    wrong.__cause__ = IntegrityError("insert", {}, Exception("duplicate key"))
    assert loss_of_ledger(wrong) is None and loss_of_ledger(ValueError()) is None


@pytest.mark.slow
def test_a_database_that_turns_read_only_is_waited_for_as_one_that_is_away(tmp_path: Path) -> None:
    directory = run_directory(str(tmp_path), "one")
    with postgresql_server() as url, driven(directory, url) as ledger:
        add_trial(ledger, [0.5], "running")
        owner = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect()
        owner.execute(text("ALTER DATABASE postgres SET default_transaction_read_only = on"))
        owner.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname > ''"
            )
        )

        def write_again() -> None:
            owner.execute(text("ALTER DATABASE postgres SET default_transaction_read_only = off"))
            others = "pid <> pg_backend_pid() AND datname > ''"
            owner.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))

        again = threading.Timer(3, write_again)
        again.start()
        ledger.record_epoch(0, epoch_result(2, 0.6))
        again.join()
        owner.close()
        assert len(read_ledger(directory, url).records[0].epochs) == 2


def stopped_for(server: PostgresqlServer, seconds: float) -> threading.Thread:
    """The server is stopped now, and begun again after some time by a thread, which is to be joined."""
    server.stop()
    again = threading.Timer(seconds, server.start)
    again.start()
    return again


@pytest.mark.slow
def test_a_database_that_is_begun_again_is_waited_for(tmp_path: Path) -> None:
    directory = run_directory(str(tmp_path), "one")
    with mortal_postgresql_server() as server:
        with driven(directory, server.url) as ledger:
            add_trial(ledger, [0.5], "running")
            again = stopped_for(server, 3)
            ledger.record_epoch(0, epoch_result(2, 0.6))
            again.join()
            # The connection of the claim is as lost as the others; its lock is taken again before anything is written.
            with pytest.raises(ClaimIsTaken, match="by another driver"):
                DriverClaim(server.url, "one").take()
            again = stopped_for(server, 3)
            ledger.record_limits({"trials": 3})
            again.join()
            add_trial(ledger, [0.4], "stopped")
            assert read_ledger(directory, server.url).records == ledger.records
            assert len(ledger.records[0].epochs) == 2
            # Another driver has gone on with the search while the database was away for this one.
            open_ledger(directory, server.url).record_driver("there", 2)
            again = stopped_for(server, 2)
            with pytest.raises(UserError, match="'one' was gone on with by another driver while the ledger was away"):
                ledger.record_epoch(0, epoch_result(3, 0.7))
            again.join()
        assert len(read_ledger(directory, server.url).records[0].epochs) == 2
        with driven(directory, server.url):
            pass


def ended(url: str, whose: str) -> None:
    """Ends the connections to a server of which this holds."""
    with create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as owner:
        query = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND {whose}"
        assert owner.execute(text(query)).all()


OF_THE_CLAIM = "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"


@pytest.mark.slow
def test_a_driver_that_has_lost_its_lock_alone_has_it_again_or_writes_nothing(tmp_path: Path) -> None:
    """Its other connections are well, or have been made anew: nothing else would tell it."""
    directory = run_directory(str(tmp_path), "one")
    with postgresql_server() as url, driven(directory, url) as ledger:
        add_trial(ledger, [0.5], "running")
        for go_on in (ledger.keep_claim, lambda: ledger.record_limits({"trials": 3})):
            ended(url, OF_THE_CLAIM)
            go_on()
            with pytest.raises(ClaimIsTaken, match="by another driver"):
                DriverClaim(url, "one").take()
        # Another driver takes the moment in which nobody has the lock.
        ended(url, OF_THE_CLAIM)
        other = DriverClaim(url, "one")
        other.take()
        open_ledger(directory, url).record_driver("there", 2)
        before = read_ledger(directory, url)
        # Whether it is still there or not.
        with pytest.raises(UserError, match="'one' was gone on with by another driver"):
            present(ledger._patience)._next_look = 0.0
            ledger.keep_claim()
        other.drop()
        writes = (partial(ledger.record_epoch, 0, epoch_result(2, 0.6)), partial(ledger.record_limits, {"trials": 9}))
        for write in writes:
            with pytest.raises(UserError, match="'one' was gone on with by another driver"):
                write()
        found = read_ledger(directory, url)
        assert (found.records, found.header) == (before.records, before.header)


@pytest.mark.slow
def test_of_two_drivers_after_a_restart_the_first_ends_in_a_line(tmp_path: Path) -> None:
    """It was suspended, lost its connections, and another driver elsewhere has gone on with the search."""
    with postgresql_server() as url:
        first = start_search(tmp_path, "one", "--trials", "3", "training.epochs=20", f"ledger.url={url}")
        wait_for(lambda: len(checkpoints(tmp_path, "one")) > 1, first)
        first.send_signal(signal.SIGSTOP)
        ended(url, "datname > ''")
        elsewhere = tmp_path / "elsewhere"
        shutil.copytree(tmp_path / "runs", elsewhere / "runs", ignore=shutil.ignore_patterns("driver.lock"))
        second = start(elsewhere, "nas/search.py", "--resume", "one", f"ledger.url={url}")
        known = run_directory(str(elsewhere / "runs"), "one")
        began = sum(len(record.epochs) for record in read_ledger(known, url).records)
        wait_for(lambda: sum(len(record.epochs) for record in read_ledger(known, url).records) > began, second)
        first.send_signal(signal.SIGCONT)
        _, error = first.communicate(timeout=LIMIT_SECONDS)
        # It does not wait for the other to end.
        assert second.poll() is None
        assert first.returncode in (1, 2) and "Traceback" not in error, error
        assert "another driver" in error.splitlines()[-1]
        output, error = second.communicate(timeout=LIMIT_SECONDS)
        assert second.returncode == 0, output + error
        records = read_ledger(known, url).records
        assert all([e.epoch for e in record.epochs] == [*range(1, len(record.epochs) + 1)] for record in records)


@contextmanager
def hung(url: str) -> Iterator[None]:
    """No process of the server runs: its connections stay open, and nobody answers."""
    with create_engine(url, poolclass=NullPool).connect() as connection:
        server = psutil.Process(int(connection.scalar(text("SELECT pg_backend_pid()")) or 0)).parent()
    family = [present(server), *present(server).children()]
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()
    try:
        yield
    finally:
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


@pytest.mark.slow
def test_a_database_that_hangs_is_as_one_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(postgresql, "SILENT_SECONDS", 1.5)
    directory = run_directory(str(tmp_path), "one")
    with postgresql_server() as url, driven(directory, hasty := f"{url}?connect_timeout=2") as ledger:
        add_trial(ledger, [0.5], "running")
        with hung(url):
            began = time.monotonic()
            with pytest.raises(UserError, match=r"no answer for 2 s|timeout expired"):
                read_ledger(directory, hasty)
            # Nothing waits for it where nothing is to be written.
            ledger.keep_claim()
            assert time.monotonic() - began < 30
        with ThreadPoolExecutor(1) as other:
            with hung(url):
                written = other.submit(ledger.record_epoch, 0, epoch_result(2, 0.6))
                time.sleep(4)
                assert not written.done()
            written.result(60)
        assert [len(record.epochs) for record in read_ledger(directory, hasty).records] == [2]
        assert "the ledger cannot be written, tried again for 120 s: " in caplog.text
        assert "the ledger is written again" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("is_committed", [True, False])
def test_an_answer_that_is_lost_has_nothing_written_twice(
    is_committed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction of a new trial came to its end, or did not, and the connection broke before that was heard of."""
    directory, engines = run_directory(str(tmp_path), "one"), list[Engine]()

    def kept(url: str) -> Engine:
        engines.append(postgresql.postgresql_engine(url))
        return engines[-1]

    monkeypatch.setattr(driver_claim, "postgresql_engine", kept)
    with postgresql_server() as url, driven(directory, url) as ledger:
        add_trial(ledger, [0.5], "finished")
        (engine,) = engines
        commit = engine.dialect.do_commit
        lost: list[Any] = []

        def break_once(connection: Any) -> None:
            if lost:
                return commit(connection)
            if is_committed:
                commit(connection)
            lost.append(connection)
            engine.dialect.do_rollback(connection)
            raise present(engine.dialect.dbapi).OperationalError("server closed the connection unexpectedly")

        monkeypatch.setattr(engine.dialect, "do_commit", break_once)
        add_trial(ledger, [0.7, 0.8], "finished")
        assert len(lost) == 1
        stored = read_ledger(directory, url).records
        assert stored == ledger.records and [len(record.epochs) for record in stored] == [1, 2]
        # What Optuna reads of it is the same: two trials.
        assert len(ledger._study.get_trials()) == 2


@pytest.mark.slow
def test_a_search_goes_on_once_its_database_is_back(tmp_path: Path) -> None:
    with mortal_postgresql_server() as server:
        process = start_search(tmp_path, "one", "--trials", "3", "training.epochs=8", f"ledger.url={server.url}")
        wait_for(lambda: len(checkpoints(tmp_path, "one")) > 2, process)
        again = stopped_for(server, 15)
        began = time.monotonic()
        output, error = process.communicate(timeout=LIMIT_SECONDS)
        again.join()
        assert process.returncode == 0 and time.monotonic() - began > 15, error
        assert error.count("the ledger cannot be written, tried again for 120 s: ") == 1
        assert error.count("the ledger is written again") == 1 and PASSWORD not in output + error
        records = read_ledger(run_directory(str(tmp_path / "runs"), "one"), server.url).records
        assert sum(record.trained for record in records) == 3
        assert {record.outcome for record in records} <= {"finished", "stopped"}
        assert {record.deaths for record in records} == {0}


@pytest.mark.slow
def test_a_search_on_postgresql_is_killed_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with postgresql_server() as url:
        process = start_search(tmp_path, "one", "--trials", "3", "training.epochs=4", f"ledger.url={url}")
        wait_for(lambda: len(checkpoints(tmp_path, "one")) > 2, process)
        family = tree(process)
        process.kill()
        printed = "".join(process.communicate())
        for member in family:
            if member.is_running():
                member.send_signal(signal.SIGKILL)
        psutil.wait_procs(family, timeout=10)
        directory = run_directory(str(tmp_path / "runs"), "one")
        before = open_ledger(directory, url).records
        assert any(record.epochs for record in before)
        without = run(tmp_path, "nas/search.py", "--resume", "one")
        assert without.returncode == 2 and without.stderr.count("\n") == 1 and LEDGER_VARIABLE in without.stderr
        status = run(tmp_path, "nas/status.py", "one", "--ledger-url", url)
        assert status.returncode == 0 and "not running: its driver, " in status.stdout, status.stderr
        listed = run(tmp_path, "nas/report.py", "one", "--out", "out", "--ledger-url", url)
        assert listed.returncode == 0, listed.stderr
        monkeypatch.setenv(LEDGER_VARIABLE, url)
        resumed = run(tmp_path, "nas/search.py", "--resume", "one", seconds=LIMIT_SECONDS)
        assert resumed.returncode == 0, resumed.stderr
        ledger = read_ledger(directory, None)
        after = ledger.records
        for old, new in zip(before, after, strict=False):
            assert (new.architecture, new.seed, new.started_at) == (old.architecture, old.seed, old.started_at)
            assert new.epochs[: len(old.epochs)] == old.epochs
        trained = [record for record in after if record.trained]
        assert len({record.architecture.id for record in trained}) == len(trained) == 3
        exported = run(tmp_path, "nas/export.py", "one", "--list")
        assert exported.returncode == 0, exported.stderr
        reported = run(tmp_path, "nas/report.py", "one")
        assert reported.returncode == 0, reported.stderr
        reference = ledger.header.facts("one", None).reference
        store = f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}"
        check_all_there_once(store, "architecture search", after, summarise(after, reference))
    assert not directory.ledger.exists()
    for done in (without, listed, resumed, exported, reported):
        printed += done.stdout + done.stderr
    assert PASSWORD not in printed
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []


@pytest.mark.slow
def test_a_search_whose_database_is_stopped_says_so_and_goes_on_later(tmp_path: Path) -> None:
    with mortal_postgresql_server() as server:
        process = start_search(tmp_path, "one", "--trials", "3", "training.epochs=8", f"ledger.url={server.url}")
        wait_for(lambda: len(checkpoints(tmp_path, "one")) > 2, process)
        family = tree(process)
        server.stop()
        try:
            output, error = process.communicate(timeout=LIMIT_SECONDS)
        finally:
            server.start()
        assert process.returncode == 1, error
        assert "Traceback" not in error and PASSWORD not in output + error
        assert error.count("the ledger of search 'one' cannot be written: ") == 1 and "--resume one --runs-dir" in error
        assert psutil.wait_procs(family, timeout=60)[1] == []
        before = open_ledger(run_directory(str(tmp_path / "runs"), "one"), server.url).records
        assert {record.outcome for record in before} <= {"running", "held", "finished"}
        resumed = run(tmp_path, "nas/search.py", "--resume", "one", f"ledger.url={server.url}", seconds=LIMIT_SECONDS)
        assert resumed.returncode == 0, resumed.stderr
        after = open_ledger(run_directory(str(tmp_path / "runs"), "one"), server.url).records
        assert sum(record.trained for record in after) == 3
        for old, new in zip(before, after, strict=False):
            assert new.epochs[: len(old.epochs)] == old.epochs


@pytest.mark.slow
def test_a_search_whose_directory_is_deleted_stops_and_makes_none_anew(tmp_path: Path) -> None:
    with postgresql_server() as url:
        process = start_search(tmp_path, "one", "--trials", "3", "training.epochs=8", f"ledger.url={url}")
        wait_for(lambda: len(checkpoints(tmp_path, "one")) > 1, process)
        (tmp_path / "runs" / "one").rename(tmp_path / "away")
        output, error = process.communicate(timeout=LIMIT_SECONDS)
        assert process.returncode == 1 and "Traceback" not in error, output + error
        last = error.splitlines()[-1]
        assert last.startswith("error: nothing can be trained: ") and "the directory of the search" in last
        assert f"a file {str(tmp_path / 'runs' / 'one' / 'ledger.url')!r} that says postgresql" in last
        assert "in the place of what is there now, go on with it: " in last and "--resume one" in last
        # What Ray has made for its own state is no directory of a search.
        assert [path.name for path in (tmp_path / "runs" / "one").iterdir()] == ["ray"]
        status = run(tmp_path, "nas/status.py", "one", "--ledger-url", url)
        assert status.returncode == 0, status.stderr
        refused = run(tmp_path, "nas/search.py", "--resume", "one", f"ledger.url={url}")
        assert refused.returncode == 2 and f"a runs directory of {socket.gethostname()}, and not in" in refused.stderr
        shutil.rmtree(tmp_path / "runs" / "one")
        (tmp_path / "away").rename(tmp_path / "runs" / "one")
        resumed = run(tmp_path, "nas/search.py", "--resume", "one", f"ledger.url={url}", seconds=LIMIT_SECONDS)
        assert resumed.returncode == 0, resumed.stderr
        records = read_ledger(run_directory(str(tmp_path / "runs"), "one"), url).records
        assert {record.outcome for record in records} <= {"finished", "stopped", "duplicate", "rejected"}


@pytest.mark.slow
def test_a_search_whose_study_is_deleted_says_so(tmp_path: Path) -> None:
    with postgresql_server() as url:
        process = start_search(tmp_path, "one", "--trials", "3", "training.epochs=8", f"ledger.url={url}")
        wait_for(lambda: len(checkpoints(tmp_path, "one")) > 2, process)
        family = tree(process)
        optuna.delete_study(study_name="one", storage=with_driver(url))
        output, error = process.communicate(timeout=LIMIT_SECONDS)
        assert process.returncode == 1 and "Traceback" not in error and PASSWORD not in output + error, error
        assert error.count("search 'one' is in its database no more: its study was deleted there") == 1
        assert psutil.wait_procs(family, timeout=60)[1] == []
        again = run(tmp_path, "nas/search.py", "--resume", "one", f"ledger.url={url}")
        assert again.returncode == 2 and "its database holds no search of that name" in again.stderr
