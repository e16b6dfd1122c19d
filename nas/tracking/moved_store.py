"""An MLflow store in a SQLite file that was moved or copied, with the artifacts beside it.

MLflow keeps where artifacts are as absolute addresses. Those of a copy would lead into the original.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

# What the directory of the artifacts is called, beside the store.
ARTIFACTS = "mlflow-artifacts"
_SCHEME = "file://"

# Where MLflow keeps addresses of artifacts.
_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def bring_artifacts_home(store: Path) -> None:
    """Has the store name the artifacts beside it, wherever it named those of its old place. Raises sqlite3.Error."""
    if not store.is_file():
        return
    home = store.resolve().parent / ARTIFACTS
    with contextlib.closing(sqlite3.connect(store, timeout=5)) as connection, connection:
        for old in list(_old_places(connection, home)):
            for table, column in _COLUMNS:
                if _has_column(connection, table, column):
                    connection.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                        f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                        (home.as_uri(), len(old) + 1, old, len(old) + 1, f"{old}/"),
                    )


def _old_places(connection: sqlite3.Connection, home: Path) -> Iterator[str]:
    """The addresses of other directories of artifacts, called as ours, that the experiments of a store name."""
    if not _has_column(connection, "experiments", "artifact_location"):
        return
    for (address,) in connection.execute("SELECT DISTINCT artifact_location FROM experiments"):
        if address is None or not address.startswith(_SCHEME):
            continue
        place = Path(unquote(address.removeprefix(_SCHEME)))
        # A directory may have two names, as in a container that mounts it; both of them lead here.
        same = place.exists() and home.exists() and place.samefile(home)
        if place.name == ARTIFACTS and place != home and not same:
            yield address


def _has_column(connection: sqlite3.Connection, table: str, column: str) -> bool:
    return column in {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
