"""JSON written in one way only, so that equal values have equal digests."""

import json
from typing import Any


def canonical_json(value: Any, *, allow_nan: bool = True) -> bytes:
    """The value as JSON with sorted keys, no spaces and nothing but ASCII.

    NaN and infinities, which JSON does not have, are written as Python writes them, or raise ValueError where
    `allow_nan` is false.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=allow_nan).encode()
