"""What is given from Python, checked by its type: one of another is a mistake of the user's, named with its value.

Paths are as on a command line, `~` being a home. What was opened stays where it was.
"""

from collections.abc import Mapping
from numbers import Integral
from pathlib import Path
from typing import Any

from search_spaces.errors import UserError
from search_spaces.paths import user_path


def given_path(name: str, path: object) -> str:
    """The path that was given as `name`, as text. Raises UserError, as `user_path` does too."""
    if not isinstance(path, str | Path):
        raise _other(name, path, "a path")
    return user_path(str(path))


def absolute_path(name: str, path: object) -> Path:
    """The same wherever the process goes afterwards, as a notebook does by `%cd`. Raises UserError."""
    return Path(given_path(name, path)).absolute()


def given_text(name: str, text: object) -> str:
    """The text that was given as `name`. Raises UserError."""
    if not isinstance(text, str):
        raise _other(name, text, "text")
    return text


def given_settings(settings: object) -> Mapping[str, Any]:
    """Settings by their names; none where nothing was given. Raises UserError, naming the form that was expected."""
    if settings is None:
        return {}
    if not isinstance(settings, Mapping):
        raise _other("settings", settings, 'a mapping of names to values, as {"data": "digits", "search.trials": 8}')
    for name in settings:
        if given_text("the name of a setting", name).startswith("-"):
            raise UserError(
                f"{name!r} is a flag of the command line: expected a setting's name, as 'search.trials' "
                "(docs/settings.md)."
            )
    return settings


def given_count(name: str, number: object, least: int = 1) -> int:
    """The whole number of `least` or more that was given as `name`, of NumPy's too. Raises UserError."""
    # True is a number to Python, and 1.0 is found where 1 is looked for.
    if isinstance(number, bool) or not isinstance(number, Integral) or number < least:
        raise _other(name, number, f"a whole number of {least} or more")
    return int(number)


def given_truth(name: str, value: object) -> bool:
    """The True or False that was given as `name`; the text 'no' would be true. Raises UserError."""
    if not isinstance(value, bool):
        raise _other(name, value, "True or False")
    return value


def check_called(**functions: object) -> None:
    """Raises UserError where one of these is neither None nor can be called."""
    for name, function in functions.items():
        if function is not None and not callable(function):
            raise _other(name, function, "a function, or None")


def _other(name: str, value: object, expected: str) -> UserError:
    return UserError(f"{name} is {value!r}: expected {expected}.")
