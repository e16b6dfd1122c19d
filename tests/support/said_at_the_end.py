"""What a program has said on stderr, but for that it was still starting: on a busy machine it says that first."""


def said_at_the_end(errors: str) -> list[str]:
    """The lines of `errors` that follow those of a slow start."""
    return [line for line in errors.splitlines() if line and not line.startswith(("loading ", "still loading "))]
