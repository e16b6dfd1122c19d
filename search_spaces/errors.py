"""The one exception for a user's mistake, the sentence that helps them mend it, and any error in one line."""

import difflib
import math
from collections.abc import Collection, Iterable, Sequence

# What was supplied stands in the message, and may be a whole file.
LONGEST_MESSAGE = 10_000
# Past so many accepted names the nearest is said before them.
MOST_BEFORE_HINT = 12


class UserError(ValueError):
    """A mistake in what the user supplied. Entry scripts print its message, always one line, and exit with code 2."""

    def __init__(self, message: str) -> None:
        line = printable(message)
        super().__init__(line if len(line) <= LONGEST_MESSAGE else f"{line[: LONGEST_MESSAGE - 1]}…")


def printable(text: str) -> str:
    """The text in one line that any terminal can be given: what cannot be printed stands as its escape."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def first_line(error: BaseException) -> str:
    """What an error says, in a line: the first of its message, or the name of its type where it has none."""
    return message_lines(error)[0]


def message_lines(error: BaseException) -> list[str]:
    """The lines of an error's message, at least one: the name of its type where it says nothing."""
    return str(error).strip().splitlines() or [type(error).__name__]


def unknown_name(kind: str, value: object, accepted: Collection[object], *, others: Iterable[object] = ()) -> UserError:
    """The error for a name that is none of `accepted`: names the value, the accepted ones and the nearest.

    `others` are too many to be listed, and may be the nearest, too.
    """
    names = [str(name) for name in accepted]
    number = _number(value)
    if number is not None and all(isinstance(each, int | float) for each in accepted):
        nearest = sorted(names, key=lambda name: abs(float(name) - number))[:1]
    else:
        nearest = near_names(value, [*names, *map(str, others)])[:1]
    if str(value) in names:
        # Such as the text '26', where numbers are accepted.
        return UserError(
            f"{kind} is {value!r}, a {type(value).__name__}: expected one of {', '.join(map(repr, accepted))}."
        )
    hint = did_you_mean_text(nearest[0] if nearest else None)
    listed = ", ".join(names)
    if hint and len(names) > MOST_BEFORE_HINT:
        return UserError(f"unknown {kind} {str(value)!r}.{hint} Expected one of {listed}.")
    return UserError(f"unknown {kind} {str(value)!r}: expected one of {listed}.{hint}")


def did_you_mean_text(nearest: str | None) -> str:
    """What follows the sentence of a mistake: the text that may be meant, or nothing."""
    return "" if nearest is None else f" Did you mean {nearest!r}?"


def near_names(value: object, names: Sequence[str]) -> list[str]:
    """The names that are spelled much as `value` is, the nearest first; capital letters are as good as small ones."""
    written = {name.lower(): name for name in reversed(names)}
    return [written[name] for name in difflib.get_close_matches(str(value).lower(), written, n=3, cutoff=0.5)]


def _number(value: object) -> float | None:
    """A number, or what a text says of one, as what was typed; None where it is none that is finite."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
