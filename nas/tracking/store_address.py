"""Where the MLflow store of a search is, and whether it is there. Imports no MLflow."""

from nas.settings.run_directory import RunDirectory
from nas.settings.sqlite_addresses import sqlite_path, sqlite_url
from nas.settings.store_settings import TrackingSettings
from search_spaces.errors import UserError


def store_uri(tracking: TrackingSettings, directory: RunDirectory) -> str:
    """The tracking URI; a SQLite store beside the searches where the settings name none."""
    return tracking.uri or sqlite_url(directory.runs / "mlflow.db")


def check_there(uri: str) -> None:
    """Raises UserError where there is no SQLite store at `uri`, which MLflow would make. Servers are not asked."""
    path = sqlite_path(uri)
    if path is not None and not path.is_file():
        raise UserError(f"there is no MLflow store {str(path)!r}: name another with --tracking-uri.")
