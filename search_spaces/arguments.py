"""argparse, reporting mistakes as the rest of the project does."""

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, TypeVar

from search_spaces.errors import UserError, did_you_mean_text, unknown_name
from search_spaces.json_fields import field_kinds
from search_spaces.paths import user_path
from search_spaces.units import count_of, near_count
from search_spaces.version import DISTRIBUTION, version

# Set by a shell that asks how a line may go on, to the place of the program in it, counted from 1.
COMPLETING = "_ARGCOMPLETE"

# What a setting is called that has no value, as on a command line `search.time_budget=null`.
NONE = "null"

Number = TypeVar("Number", int, float)


class _NotEmpty(argparse.Action):
    """A flag that takes a value, and no empty text. Of several the last counts, as everywhere."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if self.option_strings and values == "":
            raise argparse.ArgumentError(self, f"is empty: expected {self.metavar or 'a value'}")
        setattr(namespace, self.dest, values)


class ArgumentParser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are UserErrors; an unknown flag comes with the nearest known one.

    It has the flag `--version`. `sections` are the dataclasses whose fields are set by SECTION.FIELD=VALUE on the same
    line, asked for when one was written as a flag.
    """

    def __init__(
        self, *arguments: Any, sections: Callable[[], Mapping[str, type]] | None = None, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self._sections = sections
        # What is being parsed.
        self._words: list[str] = []
        self.add_argument(
            "--version", action="version", version=f"{DISTRIBUTION} {version()}", help="show the version and exit"
        )
        for name in (None, "store"):
            self.register("action", name, _NotEmpty)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._complete()
        self._words = list(sys.argv[1:] if args is None else args)
        return super().parse_args(args, namespace)

    def parse_intermixed_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._complete()
        self._words = list(sys.argv[1:] if args is None else args)
        return super().parse_intermixed_args(args, namespace)

    def _complete(self) -> None:
        """Ends the process with what may come next on the line that is being typed, where a shell asks for that."""
        if COMPLETING in os.environ:
            import argcomplete.finders

            # Of others it does not take the values, as that of --runs-dir, by which others are completed.
            argcomplete.finders.safe_actions.add(_NotEmpty)
            argcomplete.autocomplete(self)

    def _with_value(self, message: str) -> str:
        """A message that a flag lacks its value, where one stands there that looks like a flag: it is named."""
        found = re.fullmatch(r"argument (?:\S+/)?(--\S+): expected one argument", message)
        if found is None or found[1] not in self._words[:-1]:
            return message
        word = self._words[self._words.index(found[1]) + 1]
        is_flag = not word.startswith("-") or word.partition("=")[0] in self._option_string_actions
        return message if is_flag else f"{found[1]} is {word!r}: expected a value that does not begin with '-'"

    def error(self, message: str) -> NoReturn:
        for word in self._words:
            is_flag = not word.startswith("-") or word.partition("=")[0] in self._option_string_actions
            if not is_flag and os.path.isfile(word):
                raise UserError(f"{word!r} is taken for a flag: name that file ./{word}.")
        prefix = "unrecognized arguments: "
        if not message.startswith(prefix):
            raise UserError(f"{self._with_value(message).removesuffix('.')} (see --help).")
        argument = message.removeprefix(prefix).split()[0]
        if not argument.startswith("-"):
            raise UserError(f"unexpected argument {argument!r} (see --help).")
        flag = argument.partition("=")[0]
        if (setting := self._setting(flag)) is not None:
            raise UserError(f"unknown flag {flag!r}: that is a setting, given as {setting}=VALUE.")
        flags = [option for action in self._actions for option in action.option_strings if option.startswith("--")]
        raise unknown_name("flag", flag, flags)

    def _setting(self, flag: str) -> str | None:
        """The one setting that a flag is spelled as, with its section or without."""
        if self._sections is None:
            return None
        words = flag.removeprefix("--").replace("-", "_")
        found = [
            f"{section}.{field}"
            for section, kind in self._sections().items()
            for field in field_kinds(kind)
            if words in (field, f"{section}_{field}")
        ]
        return found[0] if len(found) == 1 else None


def complete_by(
    action: argparse.Action, answers: Callable[[argparse.Namespace], Iterable[str]], *, or_files: bool = False
) -> None:
    """Has a shell complete an argument by `answers`, which are told what is on the line before it, `or_files`."""

    def completer(prefix: str, parsed_args: argparse.Namespace, **asked: object) -> list[str]:
        from argcomplete.completers import FilesCompleter

        return [*answers(parsed_args), *(FilesCompleter()(prefix) if or_files else ())]

    action.completer = completer  # type: ignore[attr-defined]


def number(kind: type[Number], expected: str) -> Callable[[str], Number]:
    """An argparse type that reads `kind` and says what was expected where it cannot."""

    def read(text: str) -> Number:
        try:
            return kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"is {text!r}: expected {expected}") from None

    return read


def at_least(least: int) -> Callable[[str], int]:
    """An argparse type: a whole number that is no smaller."""

    def read(text: str) -> int:
        value = number(int, "a whole number")(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"is {value}: expected at least {least}")
        return value

    return read


def port(text: str) -> int:
    """An argparse type: a port, or 0 for any that is free."""
    value = at_least(0)(text)
    if value > 65535:
        raise argparse.ArgumentTypeError(f"is {value}: expected at most 65535")
    return value


def share(text: str) -> float:
    """An argparse type: a share from 0 to less than 1. Percents are told what they are as a share."""
    percent = text.removesuffix("%").strip()
    try:
        value = float(percent)
    except ValueError:
        raise argparse.ArgumentTypeError(f"is {text!r}: expected a number") from None
    if 0 <= value < 1 and text != percent + "%":
        return value
    meant = f" Did you mean {value / 100:g}?" if 0 < value < 100 and (value > 1 or text != percent) else ""
    raise argparse.ArgumentTypeError(f"is {text!r}: expected a share in [0, 1), as 0.7.{meant}")


def count(text: str) -> float:
    """An argparse type: a count as `2M`, `1.5G` or `3e6`."""
    try:
        return count_of(text)
    except ValueError:
        near = near_count(text)
        hint = "" if near is None else f".{did_you_mean_text(near)}"
        raise argparse.ArgumentTypeError(f"is {text!r}: expected a number, as 2M, 1.5G or 3e6{hint}") from None


def or_none(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """An argparse type: what `read` reads or, of `none`, NONE."""
    return lambda text: NONE if text.lower() in ("none", NONE) else read(text)


def path(text: str) -> str:
    """An argparse type: the path of a file or directory, `~` at its beginning being a home."""
    if not text:
        raise argparse.ArgumentTypeError("is empty: expected a path")
    try:
        return user_path(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
