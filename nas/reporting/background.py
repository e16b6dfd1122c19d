"""What a report shows beside the trials: what its search was started with, and what may be typed next. Plain text."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NextCommand:
    """A command that may be typed next, and what it is for."""

    purpose: str
    command: str


@dataclass(frozen=True, slots=True)
class Background:
    """`settings` are those of the search and its space, as YAML that `--config` takes back."""

    settings: str
    commands: tuple[NextCommand, ...]
