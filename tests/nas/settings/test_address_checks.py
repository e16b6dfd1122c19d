"""Addresses that cannot be: refused before anything is started, whoever names them."""

import importlib.util
import socket
from pathlib import Path

import pytest

from nas.driver.command_line import read_command
from nas.search import main as search
from nas.settings.address_checks import check_driver, check_ledger_url, check_tracking_uri, database_place
from nas.settings.store_settings import TrackingSettings
from search_spaces.errors import UserError


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("htp://x", r"'htp://x': expected http://HOST:PORT .* Did you mean 'http://x'\?"),
        ("htps://me:secret@host", r"'htps://\*\*\*@host': .* Did you mean 'https://\*\*\*@host'\?"),
        ("127.0.0.1:5000", "expected http://HOST:PORT"),
        ("localhost", "expected http://HOST:PORT"),
        ("http:/host", "expected http://HOST:PORT"),
        ("http://", "expected http://HOST:PORT"),
        ("http://:5000", "expected http://HOST:PORT"),
        ("http://host:50000000", "of port '50000000': expected a number from 1 to 65535"),
        ("http://host:secret", r"'http://host:\*\*\*': what follows the colon is no port, expected .* from 1"),
        ("http://host name", "expected http://HOST:PORT"),
        ("file:///tmp/mlruns", "expected http://HOST:PORT"),
        ("ftp://host", "expected http://HOST:PORT"),
        ("./mlruns", "expected http://HOST:PORT"),
        ("sqlite://mlflow.db", "expected sqlite:////PATH"),
        ("sqlite:///:memory:", "expected sqlite:////PATH"),
        ("postgresql://me:secret@host/db", r"\*\*\*@host/db': the Python package psycopg2, .* pip install 'psycopg2-"),
        ("mysql+pymysql://host/db", "pip install 'pymysql'"),
    ],
)
def test_no_store_of_mlflow_can_be_there(uri: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_command(["--space", "resnet_stages", f"tracking.uri={uri}"])
    assert "tracking.uri is " in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:5000", "https://me:p@ss/w@host/mlflow?x=1", "http://[::1]:5000", "HTTP://host",
        "sqlite:////new/folder/mlflow.db", "sqlite:///mlflow.db", "databricks", "databricks://profile",
    ],
)  # fmt: skip
def test_a_store_may_be_there(uri: str) -> None:
    check_tracking_uri(uri, "tracking.uri")


def test_a_file_that_is_no_sqlite_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("something else", encoding="utf-8")
    for place, message in ((tmp_path / "text.db", "is another file"), (tmp_path, "is a directory")):
        with pytest.raises(UserError, match=message):
            check_tracking_uri(f"sqlite:///{place}", "tracking.uri")


@pytest.mark.parametrize(
    "url",
    [
        "postgres://host/db",
        "host/db",
        "postgresql://host:x/db",
        "postgresql://host:70000/db",
        "sqlite:///x",
        "postgresql://host",
        "postgresql://host:5432/",
        "postgresql://host/?sslmode=require",
    ],
)
def test_no_ledger_can_be_there(url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"ledger\.url is "):
        check_ledger_url(url, "ledger.url")
    monkeypatch.setenv("NAS_LEDGER_URL", url)
    assert search(["--space", "resnet_stages", "data=digits", "--plan"]) == 2
    shown = url.replace(":x/db", ":***")
    assert f"NAS_LEDGER_URL is {shown!r}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "other", "is_same"),
    [
        ("postgresql://me:x@host/db", "postgresql+psycopg://***@host:5432/db", True),
        ("postgresql://host/db", "postgresql://me@host/db?sslmode=require&connect_timeout=3", True),
        ("postgresql:///db?host=h1&port=1", "postgresql:///db?port=1&application_name=a&host=h1", True),
        ("PostgreSQL://host/db", "postgresql+PSYCOPG://host/db", True),
        ("postgresql://host/db", "postgresql://host/db2", False),
        ("postgresql://host/db", "postgresql://host:5433/db", False),
        ("postgresql://host:54321/db", "postgresql://host/db", False),
        ("postgresql://host/db", "postgresql://host2/db", False),
        ("postgresql:///db?host=h1", "postgresql:///db?host=h2", False),
        ("postgresql://host/db", "postgresql://host/db?options=-csearch_path%3Dother", False),
    ],
)
def test_a_database_is_known_by_its_place_however_it_is_connected_with(url: str, other: str, is_same: bool) -> None:
    assert (database_place(url) == database_place(other)) is is_same


@pytest.mark.parametrize("setting", ["ledger.url", "tracking.uri", "NAS_LEDGER_URL"])
@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("sec ret", "holds ' ': percent-encode the password, %20 for ' ', @ as %40."),
        ("sec?ret", "holds '?': percent-encode the password, %3F"),
        ("sec@ret", "holds '@': percent-encode the password, %40 for '@'."),
        ("a@sec/ret", "holds '@': percent-encode the password, %40 for '@'."),
        ("sec/ret", "holds '/': percent-encode the password, %2F for '/', @ as %40."),
        ("sec\nret", "percent-encode the password, %0A"),
        ("sec\u00a0ret", "percent-encode the password, %C2%A0"),
    ],
)
def test_a_password_that_has_to_be_encoded_is_not_shown(
    setting: str, password: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"postgresql://me:{password}@localhost:1/db"
    monkeypatch.setenv("NAS_LEDGER_URL", url if setting == "NAS_LEDGER_URL" else "")
    override = [] if setting == "NAS_LEDGER_URL" else [f"{setting}={url}"]
    assert search(["--space", "resnet_stages", "data=digits", "--plan", *override]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {setting} is 'postgresql://***@localhost:1/db': ") and said in error
    assert "sec" not in error and "ret" not in error


def test_what_is_expected_names_the_place_of_the_password(capsys: pytest.CaptureFixture[str]) -> None:
    assert search(["--space", "resnet_stages", "data=digits", "--plan", "ledger.url=host/db"]) == 2
    assert "expected postgresql://USER:PASSWORD@HOST/DATABASE." in capsys.readouterr().err


def test_an_address_in_the_wrong_place_is_shown_without_its_password(capsys: pytest.CaptureFixture[str]) -> None:
    for argument in ("ledger=postgresql://me:sec ret@host/db", "postgresql://me:sec ret@host/db"):
        assert search(["--space", "resnet_stages", "data=digits", "--plan", argument]) == 2
        assert "ret" not in capsys.readouterr().err


def test_a_missing_driver_is_named_as_pip_knows_it() -> None:
    with pytest.raises(UserError, match=r"package nothere, .* is not installed: pip install 'nothere'\.$"):
        check_driver("postgresql+nothere://host/db", "ledger.url")


@pytest.mark.skipif(importlib.util.find_spec("psycopg") is not None, reason="it is installed")
def test_the_driver_of_ledgers_comes_with_an_extra() -> None:
    with pytest.raises(UserError, match=r"package psycopg, .* is not installed: pip install '.*\[postgresql\]'\.$"):
        check_driver("postgresql+psycopg://host/db", "ledger.url")


def test_the_other_commands_name_their_flag() -> None:
    with pytest.raises(UserError, match="--tracking-uri is 'htp://x': expected http://"):
        TrackingSettings.from_kept({"uri": None, "experiment": "e"}, "htp://x", "--tracking-uri URI")


def test_a_plan_says_which_servers_do_not_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for proxy in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    monkeypatch.setenv("COLUMNS", "400")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        plan = ["--space", "resnet_stages", "data=digits", "--plan", f"tracking.uri=http://me:secret@127.0.0.1:{port}"]
        assert search(plan) == 0
        assert "warning" not in capsys.readouterr().out
    assert search(plan) == 0
    said = f"warning: the MLflow store, http://***@127.0.0.1:{port}, does not answer now (Connection refused)"
    assert said in capsys.readouterr().out
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    assert search(plan) == 0
    assert "warning" not in capsys.readouterr().out


def test_an_experiment_of_too_long_a_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    plan = ["--space", "resnet_stages", "data=digits", "--plan", "tracking.experiment="]
    assert search([*plan[:-1], plan[-1] + 600 * "x"]) == 2
    assert capsys.readouterr().err == "error: tracking.experiment has 600 characters: MLflow takes at most 500.\n"
    assert search([*plan[:-1], plan[-1] + 500 * "x"]) == 0
