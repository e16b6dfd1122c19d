"""Seals: equal values pass, and nothing else does."""

import json
from typing import Any

import pytest

from nas.ledger.checksums import ChecksumMismatch, checked, digest, with_checksum

VALUE: dict[str, Any] = {"loss": 0.1 + 0.2, "small": 5e-324, "none": None, "text": "é × ⁄", "list": [1, 1.5, True]}


def test_what_a_database_gives_back_passes() -> None:
    stored = json.loads(json.dumps(with_checksum("trial 3", "epoch_00001", VALUE)))
    assert checked("trial 3", "epoch_00001", stored) == VALUE
    assert checked("trial 3", "epoch_00001", dict(reversed(stored.items()))) == VALUE


@pytest.mark.parametrize(
    "stored",
    [
        None,
        VALUE,
        {"value": VALUE},
        {**with_checksum("trial 3", "held", VALUE), "more": 1},
        with_checksum("trial 4", "held", VALUE),
        with_checksum("trial 3", "helc", VALUE),
        {**with_checksum("trial 3", "held", True), "value": 1},
        {**with_checksum("trial 3", "held", 1), "value": 1.0},
        {**with_checksum("trial 3", "held", VALUE), "value": {**VALUE, "loss": 0.3}},
    ],
)
def test_anything_else_does_not(stored: object) -> None:
    with pytest.raises(ChecksumMismatch, match="held of trial 3"):
        checked("trial 3", "held", stored)


def test_digests_stay_what_they_were() -> None:
    """Written down: with other digests no ledger that exists could be read."""
    assert digest("search", "header", {"b": 1, "a": [None, 0.5]}) == "a8860eba995e794c"
