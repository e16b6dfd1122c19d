"""Addresses without their passwords."""

import pytest

from nas.settings.addresses import redacted, without_secrets


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
