"""Whether a storage can be used, asked before anything is begun: what is wrong is said within 15 s, in a line."""

import contextlib
import difflib
import secrets
import threading
from collections.abc import Sequence

from search_spaces.errors import UserError
from trainers.storage.address import StorageAddress
from trainers.storage.file_systems import buckets
from trainers.storage.probes import PROBE, is_probe
from trainers.storage.remote_folder import RemoteFolder, StorageLost

ANSWER_SECONDS = 10.0


def check_storage(address: str, new: str | None = None) -> None:
    """Raises UserError where files cannot be written, read and deleted at an address, each at once.

    `new` names the folder of what is to be begun: raises UserError where there are files in it.
    """
    folder = RemoteFolder(StorageAddress.of(address).located(), patience_seconds=0.0)
    failures: list[Exception] = []

    def checked() -> None:
        try:
            _check(folder, new)
        except (UserError, OSError) as error:
            failures.append(error)

    # What opens a storage has time limits of its own, and is not always to be believed.
    thread = threading.Thread(target=checked, name="storage", daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    if thread.is_alive():
        raise UserError(f"the storage {folder} gives no answer within {ANSWER_SECONDS:g} s.")
    if failures and isinstance(failures[0], UserError):
        raise failures[0]
    if failures:
        raise UserError(f"the storage {failures[0]}.{_nearest(folder.address, failures[0])}") from failures[0]


def _check(folder: RemoteFolder, new: str | None) -> None:
    name, content = f"{PROBE}{secrets.token_hex(8)}", secrets.token_bytes(16)
    folder.write(name, content)
    try:
        if folder.read(name) != content:
            raise StorageLost(f"{folder} cannot be read: what was written comes back otherwise")
    finally:
        folder.delete(name)
    if new is None:
        return
    begun = folder.inside(new)
    if not all(map(is_probe, begun.names())) or begun.folders():
        raise UserError(
            f"the storage {folder} has files of a search named {new!r} already: expected another --name or --storage."
        )


def _nearest(address: StorageAddress, error: Exception) -> str:
    """The nearest of the buckets that there are, where the one that was named is not."""
    if "NO_SUCH_BUCKET" not in str(error):
        return ""
    known: Sequence[str] = ()
    with contextlib.suppress(OSError):  # To list them is a right of its own.
        known = buckets(address)
    near = difflib.get_close_matches(address.path.partition("/")[0], known, n=1, cutoff=0.5)
    return f" Did you mean the bucket {near[0]!r}?" if near else ""
