"""Seals: a digest beside every value that the ledger keeps, by which a changed bit is seen when the value is read.

A database notices damage to its own structure, and takes whatever values it finds in it. A seal is made of the value,
its key and its owner, so that a value that has come to another trial or another key does not pass either.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from search_spaces.canonical_json import canonical_json


class BrokenSeal(ValueError):
    """A value is not the one that was written."""


def digest(*parts: Any) -> str:
    """Sixteen hexadecimal digits that stand for JSON values."""
    return hashlib.blake2b(canonical_json(parts), digest_size=8).hexdigest()


def seal(owner: str, key: str, value: Any) -> dict[str, Any]:
    """A JSON value as it is stored for `owner` ("search" or a trial) under `key`."""
    return {"value": value, "seal": digest(owner, key, value)}


def unseal(owner: str, key: str, stored: object) -> Any:
    """The value that was sealed for this owner and key. Raises BrokenSeal where it is another."""
    if not isinstance(stored, Mapping) or stored.keys() != {"value", "seal"}:
        raise BrokenSeal(f"{key} of {owner} has no seal")
    if stored["seal"] != digest(owner, key, stored["value"]):
        raise BrokenSeal(f"{key} of {owner} is not what was written")
    return stored["value"]
