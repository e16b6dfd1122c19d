import pytest

from search_spaces.errors import LONGEST_MESSAGE, UserError, first_line, message_lines, unknown_name


def test_a_message_is_one_readable_line_whatever_was_supplied() -> None:
    assert str(UserError("name 'a\nb\0\u202e' × 2")) == "name 'a\\nb\\x00\\u202e' × 2"
    assert str(UserError("x" * 10**6)) == "x" * (LONGEST_MESSAGE - 1) + "…"
    assert str(unknown_name("stem", "con\nvolution", ["convolution"])).endswith("Did you mean 'convolution'?")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one"), "one"),
        (ValueError("\n  one\ntwo"), "one"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (ValueError(), "ValueError"),
        (RuntimeError(" \n\n"), "RuntimeError"),
    ],
)
def test_every_error_has_a_first_line(error: Exception, line: str) -> None:
    assert first_line(error) == line


def test_the_last_line_of_an_error_is_at_hand_too() -> None:
    assert message_lines(ValueError("one\ntwo\n"))[-1] == "two"
    assert message_lines(TimeoutError())[-1] == "TimeoutError"


@pytest.mark.parametrize(("typed", "nearest"), [("15", 14), (20, 14), (21.5, 26), ("9e9", 152), (-3, 14)])
def test_the_nearest_of_numbers_is_the_nearest_number(typed: object, nearest: int) -> None:
    assert str(unknown_name("space.depth", typed, (14, 26, 152))).endswith(f"Did you mean '{nearest}'?")


@pytest.mark.parametrize("typed", ["nan", "inf", "deep"])
def test_what_is_no_number_has_no_nearest_number(typed: str) -> None:
    assert (
        str(unknown_name("space.depth", typed, (14, 26))) == f"unknown space.depth {typed!r}: expected one of 14, 26."
    )


def test_the_nearest_of_many_names_comes_before_their_list() -> None:
    names = [f"name{number}" for number in range(40)]
    assert str(unknown_name("setting", "nam7", names)).startswith(
        "unknown setting 'nam7'. Did you mean 'name7'? Expected one"
    )
