"""SQLite files in directories of any name, as those find them that are given their URL."""

from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient

from nas.settings.sqlite_addresses import sqlite_path, sqlite_url

NAMES = ["plain", "a?b=c&d", "e#f", "100%", "%41", "{x}", "a b+c", "ü→🙂", 'it\'s\n"x"', "\\", "a@b:c", "-x", "file:y"]


@pytest.mark.parametrize("name", NAMES)
def test_optuna_finds_the_file(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    path = tmp_path / name / "ledger.db"
    url = sqlite_url(path)
    assert sqlite_path(url) == path
    optuna.create_study(storage=url, study_name="x")
    assert [found.relative_to(tmp_path) for found in tmp_path.rglob("*.db")] == [path.relative_to(tmp_path)]


def test_mlflow_finds_the_file(tmp_path: Path) -> None:
    directory = tmp_path / "".join(NAMES)
    directory.mkdir()
    client = MlflowClient(sqlite_url(directory / "mlflow.db"))
    experiment = client.create_experiment("x", artifact_location=(directory / "artifacts").as_uri())
    run = client.create_run(experiment)
    client.log_text(run.info.run_id, "text", "text.txt")
    assert sorted(path.name for path in directory.iterdir()) == ["artifacts", "mlflow.db"]
    assert [path.name for path in directory.rglob("*.txt")] == ["text.txt"]


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "postgresql://h/d", "http://h"])
def test_other_databases_are_no_file(url: str) -> None:
    assert sqlite_path(url) is None
