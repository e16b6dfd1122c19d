import pytest

from search_spaces.arguments import ArgumentParser, number
from search_spaces.errors import UserError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--trails", "4"],
            "unknown flag '--trails': expected one of --help, --version, --trials. Did you mean '--trials'?",
        ),
        (["--trails=4"], "unknown flag '--trails'"),
        (["place", "other"], "unexpected argument 'other' (see --help)."),
        (["--trials"], "argument --trials: expected one argument (see --help)."),
        (["--trials", "four"], "argument --trials: is 'four': expected a whole number (see --help)."),
    ],
)
def test_a_mistake_is_a_user_error_that_helps(arguments: list[str], message: str) -> None:
    parser = ArgumentParser(allow_abbrev=False)
    parser.add_argument("place", nargs="?")
    parser.add_argument("--trials", type=number(int, "a whole number"))
    with pytest.raises(UserError) as caught:
        parser.parse_args(arguments)
    assert str(caught.value).startswith(message)


def test_numbers_are_read() -> None:
    assert (number(int, "")("20"), number(float, "")("1e-3")) == (20, 0.001)
