"""How many images may be unreadable, and the error past that."""

from collections.abc import Sequence

from search_spaces.errors import UserError

# So many images of a split, or this share of it if that is less, may be unreadable.
MOST_UNREADABLE, MOST_UNREADABLE_SHARE = 100, 0.01


class UnreadableImages(UserError):
    """More images cannot be read than may be left out: `files`."""

    def __init__(self, message: str, files: Sequence[str]) -> None:
        super().__init__(message)
        self.files = tuple(files)


def most_unreadable(images: int) -> int:
    """How many of so many images may be unreadable."""
    return min(MOST_UNREADABLE, int(MOST_UNREADABLE_SHARE * images))


def allowed(most: int) -> str:
    """How many may be such, in words."""
    return f"at most {most} may be" if most else "none may be"


def too_many_unreadable(splits: Sequence[str], problems: dict[str, str], images: int) -> UnreadableImages:
    """The error where of so many images of these splits those cannot be read that `problems` has a sentence of."""
    *others, last = problems
    # Their list may be long; the sentence about the last one ends the line before it.
    listed = f"; the others: {', '.join(others)}." if others else "."
    return UnreadableImages(
        f"{_named(splits)}: {len(problems)} of {images} images cannot be read, {allowed(most_unreadable(images))}: "
        f"{problems[last].rstrip('.')}{listed}",
        tuple(problems),
    )


def _named(splits: Sequence[str]) -> str:
    *others, last = splits
    return f"{', '.join(others)} and {last} splits" if others else f"{last} split"
