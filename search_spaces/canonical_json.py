"""JSON written in one way only, so that equal values have equal digests."""

import json
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
