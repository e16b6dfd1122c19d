"""A folder at the address of a storage. What is out of reach is waited for, as a server is that is started again."""

import contextlib
import functools
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from search_spaces.errors import first_line
from trainers.storage.address import StorageAddress
from trainers.storage.file_systems import content_of, file_system, is_object_store, listing, path_in

T = TypeVar("T")

# For so long a storage that does not answer is asked again.
PATIENCE_SECONDS = 120.0
_LONGEST_PAUSE_SECONDS = 5.0
# What is added that differs each time, says what was about to be done, or says all of it again.
_NOISE = re.compile(
    r"\s*\(Request ID: [^)]*\)|^When [^:]*: (?=AWS Error)|; Details: .*| error_info=\{.*"
    r"|^google::cloud::Status\((?=[A-Z])|\.$"
)

logger = logging.getLogger(__name__)


class StorageLost(OSError):
    """A storage did not do what it was asked for, and says why in a line."""


@dataclass(frozen=True, slots=True)
class RemoteFolder:
    """A folder at an address, of which nothing is there before the first file is. A `Folder`.

    Raises StorageLost where the storage has not answered, or has refused, for `patience_seconds`; until it does again,
    this process does not wait for it once more.
    """

    address: StorageAddress
    patience_seconds: float = PATIENCE_SECONDS

    def __str__(self) -> str:
        return str(self.address)

    @property
    def name(self) -> str:
        return self.address.name

    def inside(self, *names: str) -> "RemoteFolder":
        return RemoteFolder(self.address.inside(*names), self.patience_seconds)

    def names(self) -> list[str]:
        return self._listed(of_files=True)

    def folders(self) -> list[str]:
        return self._listed(of_files=False)

    def _listed(self, *, of_files: bool) -> list[str]:
        return self._patiently("listed", lambda: listing(self.address, of_files=of_files))

    def read(self, name: str) -> bytes:
        return self._patiently("read", lambda: content_of(self.address.inside(name)))

    def write(self, name: str, content: bytes) -> None:
        self._patiently("written", lambda: self._written(name, content))

    def _written(self, name: str, content: bytes) -> None:
        system, path = file_system(self.address), self._path(name)
        if is_object_store(self.address):
            _put(system, path, content)
            return
        system.create_dir(path_in(self.address), recursive=True)
        partial = self._path(f".{name}.partial")
        _put(system, partial, content)
        system.move(partial, path)

    def rename(self, name: str, other: str) -> None:
        self._patiently("renamed", lambda: file_system(self.address).move(self._path(name), self._path(other)))

    def delete(self, name: str) -> None:
        # What was deleted without an answer is not there when that is tried again.
        with contextlib.suppress(FileNotFoundError):
            self._patiently("deleted", lambda: file_system(self.address).delete_file(self._path(name)))

    def clear(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._patiently("deleted", lambda: file_system(self.address).delete_dir(path_in(self.address)))

    def _path(self, name: str) -> str:
        return path_in(self.address.inside(name))

    def _patiently(self, done: str, what: Callable[[], T]) -> T:
        """What `what` returns, tried until it does."""
        given_up, storage = _given_up(), self.address.storage
        patience_seconds = 0.0 if storage in given_up else self.patience_seconds
        deadline, pause, waited = time.monotonic() + patience_seconds, 1.0, False
        while True:
            try:
                found = what()
                given_up.discard(storage)
                return found
            except FileNotFoundError:
                given_up.discard(storage)
                raise
            except Exception as error:  # fsspec's storages have errors of their own.
                if time.monotonic() + pause > deadline:
                    if waited:
                        given_up.add(storage)
                    raise StorageLost(f"{self} cannot be {done}: {_reason(error)}") from error
                if not waited:
                    logger.warning(
                        "%s cannot be %s, tried again for %.0f s: %s", self, done, patience_seconds, _reason(error)
                    )
                    waited = True
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


@functools.lru_cache(maxsize=1)
def _given_up() -> set[StorageAddress]:
    """The storages that this process has waited for in vain, and has not heard of since."""
    return set()


def _put(system: Any, path: str, content: bytes) -> None:
    with system.open_output_stream(path) as stream:
        stream.write(content)


def _reason(error: Exception) -> str:
    """What went wrong, in a line."""
    said = _NOISE.sub("", first_line(error))
    return said if isinstance(error, OSError) else f"{type(error).__name__}: {said}"
