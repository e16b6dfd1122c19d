"""Addresses without their passwords."""

import pytest

from nas.settings.addresses import redacted, redacted_address, without_secrets


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://me:p%40ss@host:5432/db", "postgresql://***@host:5432/db"),
        ("postgresql+psycopg://me:a/b@c@host/db", "postgresql+psycopg://***@host/db"),
        ("https://token@host/path", "https://***@host/path"),
        ("postgresql://host/db?user=me&password=pw&sslmode=require", "postgresql://host/db?user=me&password=***&sslmode=require"),
        ("https://host/?access_token=pw", "https://host/?access_token=***"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("sqlite:////home/a@b/mlflow.db", "sqlite:////home/a@b/mlflow.db"),
    ],
)  # fmt: skip
def test_an_address_is_shown_without_its_secrets(uri: str, shown: str) -> None:
    assert redacted(uri) == shown


@pytest.mark.parametrize("text", ["login as p@ss failed", "login as p%40ss failed", "(postgresql://me:p%40ss@host/db)"])
def test_an_error_is_shown_without_the_secrets_of_the_address(text: str) -> None:
    shown = without_secrets(text, "postgresql://me:p%40ss@host/db")
    assert "p@ss" not in shown and "p%40ss" not in shown and "***" in shown


def test_a_text_without_secrets_stays_as_it_is() -> None:
    assert without_secrets("disk full", "postgresql://me:pw@host/db") == "disk full"


def test_a_short_secret_is_no_part_of_a_word() -> None:
    said = 'connection to "u" refused: u has no rights on cluster'
    assert (
        without_secrets(said, "postgresql://u@host/db") == 'connection to "***" refused: *** has no rights on cluster'
    )
    assert without_secrets("longer: xhunter2x", "postgresql://me:hunter2@host/db") == "longer: x***x"


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("postgresql://me:p w@host:1/db", "postgresql://***@host:1/db"),
        ("postgresql://me:p?w#x/y@z@host/db", "postgresql://***@host/db"),
        ("postgresql://me:p\tw\n@host/db", "postgresql://***@host/db"),
        ("postgresql:/me:pw@host/db", "postgresql:/***@host/db"),
        ("postgresql//me:pw@host/db", "postgresql//***@host/db"),
        ("postgresql:///me:pw@host/db", "postgresql://***@host/db"),
        ("jdbc:postgresql://me:pw@host/db", "jdbc:postgresql://***@host/db"),
        ("postgre sql://me:pw@host/db", "***@host/db"),
        ("me:pw@host/db", "***@host/db"),
        ("postgresql://me:pw", "postgresql://me:***"),
        ("postgresql://me:pw/x host/db", "postgresql://me:***"),
        ("me:pw", "me:***"),
        ("https://host/?password=p w", "https://host/?password=***"),
        ("https://host/?passwd=p&x=1", "https://host/?passwd=***&x=1"),
        ("host=localhost password='p w' dbname=db", "host=localhost password=*** dbname=db"),
        ("host=localhost password = p w dbname=db", "host=localhost password = *** dbname=db"),
        ("http://[::1]:5000", "http://[::1]:5000"),
        ("localhost:5000", "localhost:5000"),
        ("sqlite:////home/a@b/mlflow.db", "sqlite:////home/a@b/mlflow.db"),
        ("", ""),
    ],
)
def test_no_secret_of_a_malformed_address_is_shown(typed: str, shown: str) -> None:
    assert redacted_address(typed) == shown


def test_what_a_message_quotes_is_shown_without_the_secrets_of_a_malformed_address() -> None:
    said = "override 'ledger=postgresql://me:p w@host/db': expected 'http://HOST' or \"postgresql://me:it's @x@host\"."
    shown = "override 'ledger=postgresql://***@host/db': expected 'http://HOST' or \"postgresql://***@host\"."
    assert redacted(said) == shown
    assert redacted("'/home/a' and 'a@b' and 'file:///a@b'") == "'/home/a' and 'a@b' and 'file:///a@b'"
