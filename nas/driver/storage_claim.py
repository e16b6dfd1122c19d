"""One ledger for what a search keeps at a storage: copies of its directory would train over each other's checkpoints.

Each driver leaves its claim at the storage and in its ledger. A ledger that does not know the claim at the storage is
behind: another copy of it has gone on there. Drivers of one ledger are kept apart by its own lock.
"""

import datetime
import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from nas.driver.lock import living_holder
from nas.ledger.contents import LedgerContents
from nas.ledger.ledger import Ledger
from nas.settings.run_directory import RunDirectory
from search_spaces.errors import UserError
from search_spaces.json_fields import read_dataclass

CLAIM = "driver.json"


@dataclass(frozen=True, slots=True)
class StorageClaim:
    """Which driver has a storage: a token of its own, its machine, process and directory, and since when."""

    token: str
    host: str
    process: int
    directory: str
    since: str


def check_claim(directory: RunDirectory, ledger: LedgerContents) -> None:
    """Raises UserError where another copy of a search has gone on at its storage, or is doing so. OSError."""
    claim = _claim_at(directory)
    if claim is None:
        return
    if claim.token in ledger.storage_claims and not _is_held_elsewhere(claim, directory):
        return
    raise UserError(
        f"search {directory.name!r} keeps its checkpoints at {directory.kept}, and another runs directory has gone on "
        f"there: process {claim.process} on {claim.host}, with {claim.directory!r}, since {claim.since}. Expected that "
        f"one; --fork NAME goes on with the results of this one under another name."
    )


def claim_storage(directory: RunDirectory, ledger: Ledger) -> None:
    """Leaves this driver's claim where a search has a storage. OSError."""
    if directory.storage is None:
        return
    now = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    claim = StorageClaim(secrets.token_hex(8), socket.gethostname(), os.getpid(), str(directory.path.resolve()), now)
    # The ledger first: it must know every claim of its own drivers, wherever this is cut off.
    ledger.record_storage_claim(claim.token)
    directory.kept.write(CLAIM, json.dumps(asdict(claim)).encode())


def _claim_at(directory: RunDirectory) -> StorageClaim | None:
    """The last claim; None at a storage that has none, as of earlier code, or one that nobody can read."""
    try:
        return read_dataclass(StorageClaim, json.loads(directory.kept.read(CLAIM)), CLAIM)
    except (FileNotFoundError, ValueError, UserError):
        return None


def _is_held_elsewhere(claim: StorageClaim, directory: RunDirectory) -> bool:
    """Whether a driver of this machine has the storage that was started with another directory, a copy."""
    path = Path(claim.directory)
    if claim.host != socket.gethostname() or path == directory.path.resolve():
        return False
    holder = living_holder(RunDirectory(path.parent, path.name))
    return holder is not None and holder.process == claim.process
