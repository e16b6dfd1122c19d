"""The ledger in PostgreSQL: how it is made and found again, and what is told of its address."""

import gc
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy import NullPool, create_engine, text

from nas.driver.checks import check_search
from nas.driver.command_line import read_command
from nas.ledger import database, postgresql
from nas.ledger.database import has_study
from nas.ledger.forking import check_whole
from nas.ledger.ledger import Ledger
from nas.ledger.location import _READ_ONLY, create_ledger, open_ledger, read_ledger
from nas.settings.addresses import redacted
from nas.settings.header import ForkOrigin
from nas.settings.run_directory import RunDirectory, existing_run, run_directory, search_names
from nas.settings.store_settings import LEDGER_VARIABLE
from search_spaces.errors import UserError
from tests.entries.test_report import HEADER, add_trial
from tests.faults.searches import driven
from tests.support.postgresql_server import PASSWORD, mortal_postgresql_server, postgresql_server
from tests.support.searches import DIGITS, search_header

NOBODY = "postgresql://me:secret@127.0.0.1:9/searches"


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LEDGER_VARIABLE, raising=False)


@pytest.fixture
def noted(tmp_path: Path) -> RunDirectory:
    """The directory of a search whose ledger is elsewhere."""
    directory = run_directory(str(tmp_path), "one")
    directory.path.mkdir()
    directory.ledger_note.write_text("postgresql://***@127.0.0.1:9/searches\n", encoding="utf-8")
    return directory


def test_an_address_of_another_kind_is_a_mistake() -> None:
    with pytest.raises(UserError, match=r"ledger\.url is 'mysql://\*\*\*@host/db': expected postgresql://"):
        read_command(["--space", "resnet_stages", "ledger.url=mysql://me:secret@host/db"])
    command = read_command(["--space", "resnet_stages", f"ledger.url='{NOBODY}?sslmode=require'"])
    assert command.ledger.url == f"{NOBODY}?sslmode=require"
    assert "secret" not in repr(command) and "secret" not in str(command.header(DIGITS, 1, "abc"))


def test_a_ledger_elsewhere_is_found_by_its_note_and_needs_its_whole_address(
    noted: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert search_names(noted.runs) == ["one"] and existing_run(str(noted.runs), "one") == noted
    with pytest.raises(UserError, match=rf"is at postgresql://\*\*\*@127.*{LEDGER_VARIABLE}.*--ledger-url"):
        open_ledger(noted, None)
    with pytest.raises(UserError, match=r"is at .*@127\.0\.0\.1:9/searches, not at .*@host/db") as raised:
        open_ledger(noted, "postgresql://me:secret@host/db")
    assert "secret" not in str(raised.value)
    monkeypatch.setenv(LEDGER_VARIABLE, NOBODY)
    for opened in (open_ledger, read_ledger):
        with pytest.raises(UserError, match=r"of search .one. cannot be read: connection failed: .*refused") as raised:
            opened(noted, None)
        assert "secret" not in str(raised.value)


def test_a_database_that_takes_a_connection_and_never_answers_is_not_waited_for(
    noted: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "ANSWER_SECONDS", 2)  # What libpq takes at least.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://me:secret@127.0.0.1:{silent.getsockname()[1]}/searches"
        noted.ledger_note.write_text(f"{redacted(url)}\n", encoding="utf-8")
        with pytest.raises(UserError, match=r"of search 'one' cannot be read: connection timeout expired"):
            read_ledger(noted, url)


def test_a_ledger_that_cannot_be_made_leaves_no_note(tmp_path: Path) -> None:
    directory = run_directory(str(tmp_path), "one")
    with pytest.raises(UserError, match="ledger of search 'one' cannot be made") as raised:
        create_ledger(directory, NOBODY, HEADER)
    assert "secret" not in str(raised.value) and not directory.has_ledger


def test_a_ledger_in_the_directory_takes_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = run_directory(str(tmp_path), "one")
    add_trial(create_ledger(directory, None, HEADER), [0.5], "stopped")
    with pytest.raises(UserError, match="leave out its URL"):
        open_ledger(directory, NOBODY)
    # The environment is for searches that have their ledger elsewhere.
    monkeypatch.setenv(LEDGER_VARIABLE, NOBODY)
    assert open_ledger(directory, None).records == read_ledger(directory, None).records
    with pytest.raises(UserError, match="exists already"):
        create_ledger(directory, None, HEADER)


def interrupt(*_: object) -> Any:
    raise KeyboardInterrupt


def connections(url: str) -> int:
    """How many connections a database has, but for this, once the server has seen to those that were closed."""
    asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
        counts = [-1]
        while len(set(counts[-4:])) > 1 or len(counts) < 4:
            time.sleep(0.3)
            counts.append(int(connection.scalar(text(asked)) or 0))
    return counts[-1]


@pytest.mark.slow
def test_a_ledger_is_read_from_postgresql_without_writing(tmp_path: Path) -> None:
    directory = run_directory(str(tmp_path), "one")
    with postgresql_server() as url:
        ledger = create_ledger(directory, url, HEADER)
        add_trial(ledger, [0.5, 0.8], "finished")
        add_trial(ledger, [0.4], "stopped")
        assert directory.ledger_note.read_text(encoding="utf-8").strip() == url.replace(f"writer:{PASSWORD}", "***")
        with pytest.raises(UserError, match="exists already"):
            create_ledger(run_directory(str(tmp_path / "other"), "one"), url, HEADER)
        # The driver that the project names is taken for an address that names none.
        plain = url.replace("+psycopg", "")
        create_ledger(run_directory(str(tmp_path), "two"), plain, HEADER)
        cut_off = run_directory(str(tmp_path), "fork")
        with pytest.raises(KeyboardInterrupt):
            create_ledger(cut_off, url, search_header(forked_from=ForkOrigin("one", "0", "abc", 1)), interrupt)
        with pytest.raises(UserError, match=r"cut off when it had 0 of 1 results of 'one': .* under another name"):
            check_whole(open_ledger(cut_off, url))
        for found in (open_ledger(directory, url), read_ledger(directory, url)):
            assert found.records == ledger.records and found.header == ledger.header
        read_only = Ledger.open(f"{url}?{_READ_ONLY}", "one")
        with pytest.raises(StorageInternalError) as raised:
            add_trial(read_only, [0.4], "stopped")
        assert "read-only" in str(raised.value.__cause__)
        assert open_ledger(directory, url).records == ledger.records
        # However often it is read, by whatever, no connection is kept.
        del read_only
        gc.collect()
        before = connections(url)
        for _ in range(3):
            assert not isinstance(read_ledger(directory, url), Ledger) and has_study(url, "one")
        assert connections(url) == before


@pytest.mark.slow
def test_what_a_database_has_against_a_search_is_said_before_anything_starts(tmp_path: Path) -> None:
    directory = run_directory(str(tmp_path), "one")
    begin = ["--space", "resnet_stages", "data=digits", "--name", "one"]

    def refused(runs: str, *arguments: str) -> str:
        """What a search is refused by that has loaded neither Ray nor MLflow; it leaves no directory."""
        command = read_command([*arguments, "--runs-dir", runs])
        with pytest.raises(UserError) as raised:
            check_search(command, run_directory(runs, "one"))
        assert PASSWORD not in str(raised.value)
        return str(raised.value)

    with postgresql_server(asks_for_password=True) as url:
        at, elsewhere = f"ledger.url='{url}'", str(tmp_path / "elsewhere")
        # Of a server in which nobody has a ledger yet there is nothing to say.
        check_search(read_command([*begin, at, "--runs-dir", elsewhere]), run_directory(elsewhere, "one"))
        assert not has_study(url, "one")
        wrong = refused(elsewhere, *begin, f"ledger.url='{url.replace(PASSWORD, 'wrong')}'")
        assert wrong.startswith("the ledger of search 'one' cannot be opened: ") and "password" in wrong
        with driven(directory, url) as ledger:
            add_trial(ledger, [0.5], "finished")
            assert "'one' is being run by another driver" in refused(elsewhere, *begin, at)
            assert "'one' is being run by another driver" in refused(str(tmp_path), "--resume", "one", at)
        assert "a search named 'one' exists already: resume it" in refused(elsewhere, *begin, at)
        assert not Path(elsewhere).exists()
        with create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as owner:
            owner.execute(text(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'"))
            owner.execute(text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader"))
            as_reader = f"ledger.url='{url.replace('writer', 'reader')}'"
            assert "'one' cannot be written: the database's user may not" in refused(
                str(tmp_path), "--resume", "one", as_reader
            )
            owner.execute(
                text("DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO reader")
            )
            assert "'one' cannot be written: the database's user may not" in refused(elsewhere, *begin, as_reader)
            owner.execute(text("ALTER DATABASE postgres SET default_transaction_read_only = on"))
        assert "the database is read-only" in refused(elsewhere, *begin, at)
        with create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as owner:
            owner.execute(text("SET default_transaction_read_only = off"))
            owner.execute(text("ALTER DATABASE postgres SET default_transaction_read_only = off"))
        again = read_command([*begin[:-1], "two", at, "--runs-dir", elsewhere])
        assert check_search(again, run_directory(elsewhere, "two")).summary.name == "digits"


@pytest.mark.slow
def test_drivers_that_begin_at_once_in_an_empty_database_all_have_their_ledger(tmp_path: Path) -> None:
    with postgresql_server() as url:
        for number in range(3):
            with create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as owner:
                owner.execute(text("DROP SCHEMA public CASCADE; CREATE SCHEMA public"))
            directories = [run_directory(str(tmp_path / str(number)), f"search-{index}") for index in range(3)]
            together = threading.Barrier(3)

            def begin(directory: RunDirectory, url: str = url, together: threading.Barrier = together) -> Ledger:
                together.wait()
                return create_ledger(directory, url, HEADER)

            with ThreadPoolExecutor(3) as drivers:
                assert not any(ledger.records for ledger in drivers.map(begin, directories))


@pytest.mark.slow
def test_a_ledger_whose_database_was_lost_while_it_was_made_can_be_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = run_directory(str(tmp_path), "one")
    opened = Ledger.open
    with mortal_postgresql_server() as server:

        def lost(url: str, name: str) -> Ledger:
            server.stop()
            return opened(url, name)

        with monkeypatch.context() as patched:
            patched.setattr(Ledger, "open", lost)
            with pytest.raises(UserError, match="the ledger of search 'one' cannot be"):
                create_ledger(directory, server.url, HEADER)
        server.start()
        assert not open_ledger(directory, server.url).records
        # Of one that was not made nothing is left.
        other = run_directory(str(tmp_path), "two")
        with pytest.raises(KeyboardInterrupt), monkeypatch.context() as patched:
            patched.setattr(database, "_created", interrupt)
            create_ledger(other, server.url, HEADER)
        assert not other.has_ledger
        other.ledger_note.write_text(directory.ledger_note.read_text(encoding="utf-8"), encoding="utf-8")
        with pytest.raises(UserError, match="'two' cannot be read: its database holds no search of that name"):
            read_ledger(other, server.url)
