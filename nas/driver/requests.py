"""What a running search is asked for from elsewhere: other limits, or its end.

Whoever asks writes a file into the directory of the search, which any machine that sees it can do; the driver looks
there while trials run, and answers by a file beside it. A request that no driver takes in time is withdrawn: it is
either taken or withdrawn, never both, since each of them renames the file.
"""

import contextlib
import dataclasses
import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.driver.commands import status_command
from nas.settings.run_directory import RunDirectory
from search_spaces.errors import UserError, unknown_name
from search_spaces.json_fields import read_dataclass
from trainers.files import write_json_atomically

# What may be asked of a running search, by the names of the settings.
LIMITS = ("trials", "epochs", "time_budget")

LOGGER = logging.getLogger(__name__)

# The driver looks so often; a proposal or a slow ledger may keep it from that for some time.
LOOK_SECONDS = 1.0
WAIT_SECONDS = 60.0
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Request:
    """Limits to be changed, by their names in `SearchSettings`, and whether the search is to end."""

    limits: dict[str, Any]
    stop: bool

    @classmethod
    def from_json(cls, data: object) -> "Request":
        """The request that was written. Anything unknown, missing or of another type raises UserError."""
        return read_dataclass(cls, data, "request")


def check_limits(limits: Iterable[str]) -> None:
    """Raises UserError where one of these names is that of no limit."""
    for name in limits:
        if name not in LIMITS:
            raise unknown_name("limit", name, LIMITS)


def void_requests(directory: RunDirectory) -> None:
    """Takes away what was asked of an earlier driver, once a driver has the search.

    What is asked from then on, while it starts, is asked of this one.
    """
    for path in directory.requests.glob("*.request"):
        path.unlink(missing_ok=True)


class Requests:
    """The driver's side: hands each request to `obey`, and answers with what that says or raises as a UserError.

    Once `refuse` was called a thread sees to them, by `obey_at_end`, until `close`.
    """

    def __init__(
        self, directory: RunDirectory, obey: Callable[[Request], str], obey_at_end: Callable[[Request], str]
    ) -> None:
        self._directory = directory.requests
        self._obey = obey
        self._obey_at_end = obey_at_end
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._looked_at = 0.0
        self._has_failed = False
        # How many were obeyed so far.
        self.obeyed = 0

    def look(self) -> None:
        """Sees to what was asked since the last look, a second ago or more. To be called at every turn."""
        if self._thread is not None or time.monotonic() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        for path in self._waiting():
            self._see_to(path, self._obey)

    def refuse(self) -> None:
        """Has what is asked from now on answered as at the end of a search, which may take some time."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._look_at_end, name="requests", daemon=True)
            self._thread.start()

    def _look_at_end(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            for path in self._waiting():
                self._see_to(path, self._obey_at_end)

    def close(self) -> None:
        """Answers what is still waiting."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        for path in self._waiting():
            self._see_to(path, self._obey_at_end)
        with contextlib.suppress(OSError):
            self._directory.rmdir()

    def _waiting(self) -> list[Path]:
        """The requests that are there, in the order in which they came."""
        try:
            return sorted(path for path in self._directory.iterdir() if path.suffix == ".request")
        except FileNotFoundError:
            return []
        except OSError as error:
            self._warn(error)
            return []

    def _warn(self, error: OSError) -> None:
        """Says once what keeps requests from being seen to: a search goes on without."""
        if not self._has_failed:
            LOGGER.warning("requests to this search cannot be seen to: %s", error)
        self._has_failed = True

    def _see_to(self, path: Path, obey: Callable[[Request], str]) -> None:
        try:
            taken = path.rename(path.with_suffix(".taken"))
            write_json_atomically(path.with_suffix(".answer"), self._answer(taken.read_bytes(), obey))
            taken.unlink()
        except FileNotFoundError:
            return  # It was withdrawn.
        except OSError as error:
            self._warn(error)

    def _answer(self, content: bytes, obey: Callable[[Request], str]) -> dict[str, str]:
        try:
            said = obey(Request.from_json(json.loads(content)))
        except UserError as error:
            return {"error": str(error)}
        except ValueError:
            return {"error": "the request is no JSON: expected one that nas/control.py writes."}
        self.obeyed += 1
        return {"said": said}


def ask(directory: RunDirectory, request: Request) -> str | None:
    """Has the driver of a search see to a request, and waits for it. What it says; None where no driver took it.

    An interruption withdraws a request that was not taken yet. Raises UserError where it is refused, and OSError where
    the directory cannot be written.
    """
    path = _posted(directory, request)
    try:
        said = _answer(path, directory)
    except BaseException:
        _withdrawn(path)
        raise
    if said is not None and "error" in said:
        raise UserError(said["error"])
    return None if said is None else str(said["said"])


def _posted(directory: RunDirectory, request: Request) -> Path:
    # By the time, for the order; and by chance, for those of one moment.
    path = directory.requests / f"{time.time_ns():020d}-{uuid.uuid4().hex}.request"
    while True:
        directory.requests.mkdir(exist_ok=True)
        try:
            write_json_atomically(path, dataclasses.asdict(request))
            return path
        except FileNotFoundError:
            continue  # Whoever asked before has just been answered, and has taken the empty directory away.


def _answer(path: Path, directory: RunDirectory) -> dict[str, Any] | None:
    """The answer to the request at `path`; None where no driver took it in time."""
    answer = path.with_suffix(".answer")
    deadline, is_taken = time.monotonic() + WAIT_SECONDS, False
    while not answer.exists():
        time.sleep(POLL_SECONDS)
        if time.monotonic() > deadline:
            if _withdrawn(path):
                return None
            if is_taken:
                raise UserError(
                    f"the driver of search {directory.name!r} took the request and has not answered: this says whether "
                    f"it still runs: {status_command(directory)}"
                )
            deadline, is_taken = deadline + WAIT_SECONDS, True
    said: dict[str, Any] = json.loads(answer.read_bytes())
    answer.unlink()
    with contextlib.suppress(OSError):
        path.parent.rmdir()
    return said


def _withdrawn(path: Path) -> bool:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    with contextlib.suppress(OSError):
        path.parent.rmdir()
    return True
