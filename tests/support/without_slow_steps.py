"""What a program has said on stderr, but for what it was at: on a busy machine it says that, too."""


def without_slow_steps(errors: str) -> list[str]:
    """The lines of `errors` without those of steps that were slow, which end with dots or say since when."""
    lines = [line for line in errors.splitlines() if line]
    return [line for line in lines if not line.endswith(" …") and not line.startswith("still ")]
