"""Seeds that depend on what they are for."""

import hashlib


def derived_seed(*parts: object) -> int:
    """A 31-bit seed that depends on all parts and on nothing else."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
