from dataclasses import dataclass

import pytest

from search_spaces.arguments import ArgumentParser, at_least, number, share
from search_spaces.errors import UserError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--trails", "4"],
            "unknown flag '--trails': expected one of --help, --version, --trials, --share. Did you mean '--trials'?",
        ),
        (["--trails=4"], "unknown flag '--trails'"),
        (["place", "other"], "unexpected argument 'other' (see --help)."),
        (["--trials"], "argument --trials: expected one argument (see --help)."),
        (["--trials", "four"], "argument --trials: is 'four': expected a whole number (see --help)."),
        (["--trials", "0"], "argument --trials: is 0: expected at least 1 (see --help)."),
        (["--trials", "--share", "0.1"], "argument --trials: expected one argument (see --help)."),
        (["--trials", "-5m"], "--trials is '-5m': expected a value that does not begin with '-' (see --help)."),
        (
            ["--share", "95%"],
            "argument --share: is '95%': expected a share in [0, 1), as 0.7. Did you mean 0.95?",
        ),
        (
            ["--share", "70"],
            "argument --share: is '70': expected a share in [0, 1), as 0.7. Did you mean 0.7?",
        ),
        (
            ["--share", "-0.5"],
            "argument --share: is '-0.5': expected a share in [0, 1), as 0.7 (see --help).",
        ),
        (["--share", "1"], "argument --share: is '1': expected a share in [0, 1), as 0.7 (see --help)."),
        (["--share", "half"], "argument --share: is 'half': expected a number (see --help)."),
    ],
)
def test_a_mistake_is_a_user_error_that_helps(arguments: list[str], message: str) -> None:
    parser = ArgumentParser(allow_abbrev=False)
    parser.add_argument("place", nargs="?")
    parser.add_argument("--trials", type=at_least(1))
    parser.add_argument("--share", type=share)
    with pytest.raises(UserError) as caught:
        parser.parse_args(arguments)
    assert str(caught.value).startswith(message)


@dataclass
class Light:
    colour: str
    watts: int


@dataclass
class Heat:
    watts: int


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        (
            "--light-colour",
            "unknown flag '--light-colour': that is a setting, given as light.colour=VALUE.",
        ),
        ("--colour=red", "unknown flag '--colour': that is a setting, given as light.colour=VALUE."),
        ("--heat_watts", "unknown flag '--heat_watts': that is a setting, given as heat.watts=VALUE."),
        # Of two.
        ("--watts", "unknown flag '--watts': expected one of --help, --version."),
    ],
)
def test_a_setting_that_is_written_as_a_flag_is_named(flag: str, message: str) -> None:
    parser = ArgumentParser(allow_abbrev=False, sections=lambda: {"light": Light, "heat": Heat})
    with pytest.raises(UserError) as caught:
        parser.parse_args([flag, "5"])
    assert str(caught.value) == message


def test_numbers_are_read() -> None:
    assert (number(int, "")("20"), number(float, "")("1e-3")) == (20, 0.001)
    assert (at_least(3)("3"), share("0"), share("0.95")) == (3, 0.0, 0.95)
