"""The devices that a program computes on, as they are named on a command line."""

import re

from search_spaces.errors import UserError

_DEVICE = re.compile(r"auto|cpu(:0)?|cuda(:\d{1,4})?", re.ASCII)


def check_device(name: str) -> None:
    """Raises UserError where `name` is that of no device. Whether it is there is seen once torch is loaded."""
    if not _DEVICE.fullmatch(name):
        raise UserError(f"--device is {name!r}: expected auto, cpu, cuda or cuda:N.")
