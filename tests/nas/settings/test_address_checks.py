"""Addresses that cannot be: refused before anything is started, whoever names them."""

from pathlib import Path

import pytest

from nas.driver.command_line import read_command
from nas.search import main as search
from nas.settings.address_checks import check_driver, check_ledger_url, check_tracking_uri
from nas.settings.search_settings import TrackingSettings
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
        ("http://host:port", "of port 'port'"),
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
    "url", ["postgres://host/db", "host/db", "postgresql://host:x/db", "postgresql://host:70000/db", "sqlite:///x"]
)
def test_no_ledger_can_be_there(url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"ledger\.url is "):
        check_ledger_url(url, "ledger.url")
    monkeypatch.setenv("NAS_LEDGER_URL", url)
    assert search(["--space", "resnet_stages", "data=digits", "--plan"]) == 2
    assert f"NAS_LEDGER_URL is {url!r}" in capsys.readouterr().err


def test_a_missing_driver_is_named_as_pip_knows_it() -> None:
    with pytest.raises(UserError, match=r"package nothere, .* is not installed: pip install 'nothere'\.$"):
        check_driver("postgresql+nothere://host/db", "ledger.url")


def test_the_other_commands_name_their_flag() -> None:
    with pytest.raises(UserError, match="--tracking-uri is 'htp://x': expected http://"):
        TrackingSettings.from_kept({"uri": None, "experiment": "e"}, "htp://x", "--tracking-uri URI")
