"""Whole numbers on the command line of a benchmark."""

import argparse
from collections.abc import Callable


def at_least(least: int) -> Callable[[str], int]:
    """What argparse reads a whole number by that is no less."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least {least}")
        return number

    return read
