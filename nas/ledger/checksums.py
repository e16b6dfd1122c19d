"""Checksums: a digest beside every value that the ledger keeps, so that a changed bit is seen when the value is read.

A database notices damage to its own structure, and takes whatever values it finds in it. A checksum is made of the
value, its key and its owner, so that a value that has come to another trial or another key does not pass either.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from search_spaces.canonical_json import canonical_json

# What ledgers call the checksum, from their format 3 on.
CHECKSUM = "seal"


class ChecksumMismatch(ValueError):
    """A value is not the one that was written."""


def digest(*parts: Any) -> str:
    """Sixteen hexadecimal digits that stand for JSON values."""
    return hashlib.blake2b(canonical_json(parts), digest_size=8).hexdigest()


def with_checksum(owner: str, key: str, value: Any) -> dict[str, Any]:
    """A JSON value as it is stored for `owner` ("search" or a trial) under `key`."""
    return {"value": value, CHECKSUM: digest(owner, key, value)}


def checked(owner: str, key: str, stored: object) -> Any:
    """The value that was written for this owner and key. Raises ChecksumMismatch where it is another."""
    if not isinstance(stored, Mapping) or stored.keys() != {"value", CHECKSUM}:
        raise ChecksumMismatch(f"{key} of {owner} has no checksum")
    if stored[CHECKSUM] != digest(owner, key, stored["value"]):
        raise ChecksumMismatch(f"{key} of {owner} is not what was written")
    return stored["value"]
