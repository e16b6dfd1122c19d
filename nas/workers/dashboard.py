"""Ray's dashboard, of a Ray that a search starts on this machine: whether it can be had, and the token it asks for."""

import contextlib
import importlib.util
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from search_spaces.errors import UserError
from search_spaces.extras import install_command

HOST = "127.0.0.1"
# Of what the extra brings and a search alone does not, as it is imported. (`colorful`, once loaded, has no spec.)
_PACKAGES = ("aiohttp_cors", "opencensus", "prometheus_client", "smart_open", "virtualenv")


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Where the dashboard is, and the file with the token that it asks for."""

    url: str
    token_file: Path


def check_dashboard() -> None:
    """Raises UserError where what Ray's dashboard needs is not installed. Loads none of it."""
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"--dashboard needs the extra 'dashboard' ({', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not "
            f"installed): {install_command('dashboard')}"
        )


@contextlib.contextmanager
def token_file(token: str) -> Iterator[Path]:
    """A file with the token, for this user's eyes alone, for as long as the context lasts."""
    # Only its owner may enter the directory, and the file is there with its rights from the first.
    with tempfile.TemporaryDirectory(prefix="dashboard-") as directory:
        path = Path(directory) / "token"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(token + "\n")
        yield path
