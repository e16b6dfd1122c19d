"""JSON written in one way only, so that equal values have equal digests."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# `json.dumps` makes one at every call, and a ledger has a checksum beside every value.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
_STRICT_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical_json(value: Any, *, allow_nan: bool = True) -> bytes:
    """The value as JSON with sorted keys, no spaces and nothing but ASCII.

    NaN and infinities, which JSON does not have, are written as Python writes them, or raise ValueError where
    `allow_nan` is false.
    """
    return (_ENCODER if allow_nan else _STRICT_ENCODER).encode(value).encode()


def checksum_of(document: Mapping[str, Any]) -> str:
    """The checksum that a bundle.json carries beside `document`. Raises ValueError where that holds NaN or infinity."""
    return hashlib.sha256(canonical_json(document, allow_nan=False)).hexdigest()
