"""Files that only show that a folder can be written to."""

# How their names begin. Whoever has a folder to himself may delete what killed processes have left of them.
PROBE = ".probe-"


def is_probe(name: str) -> bool:
    """Whether a file is a probe, or a part of one."""
    return name.startswith((PROBE, f".{PROBE}"))
