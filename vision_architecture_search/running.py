"""A search started from Python: the very program that a terminal starts, in a process of its own, and followed.

Ray, its signals and its threads stay out of the process that asks, a notebook's as a rule.
"""

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from search_spaces.errors import UserError
from search_spaces.exit_codes import MISTAKE, SIGNAL_EXIT_CODES, SUCCESS
from search_spaces.extras import lacks_the_search
from search_spaces.programs import PROGRAMS
from search_spaces.units import counted

if TYPE_CHECKING:
    from nas.ledger.contents import LedgerContents
    from nas.settings.run_directory import RunDirectory

# The ledger is looked at so often.
LOOK_SECONDS = 2.0
# An orderly end takes 25 s at most.
END_SECONDS = 40.0
_PACKAGES = Path(__file__).resolve().parents[1]


class SearchFailed(RuntimeError):
    """A search that could not go on: a full disk, data that have vanished. What it said is the message."""


@dataclass(frozen=True, slots=True)
class SearchProgress:
    """How far a search is. `seconds` since this run of it began; accuracy and hypervolume are 0 to 1.

    Of `most_architectures` so many `architectures` were trained for an epoch at least; `outcomes` counts the trials by
    what became of them; `front` is the number of its members, and `best_accuracy` that of the most accurate, None while
    there is none.
    """

    seconds: float
    architectures: int
    most_architectures: int
    epochs: int
    outcomes: Mapping[str, int]
    front: int
    best_accuracy: float | None
    hypervolume: float

    def __str__(self) -> str:
        best = "" if self.best_accuracy is None else f", best {self.best_accuracy:.2%}"
        return (
            f"{self.seconds:.0f} s: {self.architectures} of {self.most_architectures} architectures, "
            f"{counted(self.epochs, 'epoch')}, front of {self.front}{best}, hypervolume {self.hypervolume:.4f}"
        )


Progress = Callable[[SearchProgress], None]
Output = Callable[[str], None]


def progress_of(ledger: "LedgerContents", name: str, seconds: float) -> SearchProgress:
    """How far a search is, as its ledger says."""
    from nas.records.summary import summarise

    facts = ledger.header.facts(name, ledger.most_latency_ms)
    summary = summarise(ledger.records, facts.reference, facts.cost_names, facts.data.validation_images)
    return SearchProgress(
        seconds=seconds,
        architectures=summary.architectures_trained,
        most_architectures=ledger.header.search.trials,
        epochs=summary.epochs_trained,
        outcomes={outcome: count for outcome, count in summary.counts.items() if count},
        front=len(summary.front),
        best_accuracy=None if summary.best is None else summary.best.point[0],
        hypervolume=summary.hypervolume,
    )


def words_of(settings: Mapping[str, Any]) -> list[str]:
    """Settings as the words of a command line: `{"search.trials": 5, "space.depth": [14, 26]}`."""
    return [f"{key}={_text(value)}" for key, value in settings.items()]


def _text(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes | Mapping):
        raise UserError(f"a setting is {value!r}: expected text, a number, a truth value, None, or a list of them.")
    # A range and an array of NumPy's are lists, too.
    if isinstance(value, Iterable) and not isinstance(value, str):
        return f"[{','.join(map(_text, value))}]"
    return str(value)


def run_search(
    words: Sequence[str], progress: Progress | None, output: Output | None, ledger_url: str | None = None
) -> "RunDirectory":
    """Runs a command line of `nas/search.py` to its end, a search's own or an early one. The search's directory.

    `ledger_url` is where its ledger is, if not in its directory or where the environment says. `progress` is called as
    the search goes on, `output` with each line that it prints. Where one of them raises, and on KeyboardInterrupt, the
    search is ended in order, and what was raised goes on. Raises UserError on a mistake, and SearchFailed where it
    could not go on.
    """
    lacking = lacks_the_search("a search")
    if lacking is not None:
        raise UserError(lacking)
    from nas.driver.command_line import read_command
    from nas.ledger.location import read_ledger
    from nas.settings.run_directory import run_directory

    # A mistake is found here, before a process is started.
    command = read_command(words)
    directory = run_directory(command.runs_dir, command.name)
    named = [] if {"--name", "--resume"} & set(words) else ["--name", command.name]
    program = [sys.executable, str(_PACKAGES / PROGRAMS["search"][0]), *words, *named]

    def ledger() -> "LedgerContents | None":
        return read_ledger(directory, ledger_url) if directory.has_ledger else None

    process = subprocess.Popen(
        program,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        # So that an interrupt at a terminal comes here alone, and ends it once.
        start_new_session=True,
    )
    said = _Said(process, output)
    try:
        _follow(process, directory.name, progress, said, ledger)
    except BaseException:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
        raise
    finally:
        if process.poll() is None:
            process.kill()
        said.close()
    code = process.returncode
    if code == MISTAKE:
        raise UserError(said.error)
    if code != SUCCESS and code not in SIGNAL_EXIT_CODES.values():
        raise SearchFailed(f"{said.error} (exit code {code})")
    return directory


def _follow(
    process: "subprocess.Popen[str]",
    name: str,
    progress: Progress | None,
    said: "_Said",
    ledger: "Callable[[], LedgerContents | None]",
) -> None:
    """Waits for the end of search `name`, telling how far it is whenever that has changed, and at its end."""
    started, before, ended = time.monotonic(), None, False
    while not ended:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_SECONDS)
        ended = process.poll() is not None
        said.tell()
        if progress is None:
            continue
        try:
            read = ledger()
        except UserError:
            continue  # It is just being made.
        if read is None:
            continue
        found = progress_of(read, name, time.monotonic() - started)
        now = (found.epochs, dict(found.outcomes))
        if now != before:
            progress(found)
        before = now


class _Said:
    """What a process prints, read as it comes, so that it never waits for a reader."""

    def __init__(self, process: "subprocess.Popen[str]", output: Output | None) -> None:
        self._output = output
        self._lines: list[str] = []
        self._errors: list[str] = []
        self._told = 0
        assert process.stdout is not None and process.stderr is not None
        self._streams = (process.stdout, process.stderr)
        readers = ((process.stdout, self._lines), (process.stderr, self._errors))
        self._threads = [threading.Thread(target=_read, args=reader, daemon=True) for reader in readers]
        for thread in self._threads:
            thread.start()

    @property
    def error(self) -> str:
        """The last that it said of an error."""
        lines = [line for line in self._errors if line.strip()]
        return lines[-1].removeprefix("error: ") if lines else "the search has ended without a word"

    def tell(self) -> None:
        """Hands on the lines that are new, in the caller's thread."""
        new = self._lines[self._told :]
        self._told += len(new)
        if self._output is not None:
            for line in new:
                self._output(line)

    def close(self) -> None:
        """Waits until all is read."""
        for thread in self._threads:
            thread.join(END_SECONDS)
        for stream in self._streams:
            stream.close()


def _read(stream: IO[str], lines: list[str]) -> None:
    lines.extend(line.rstrip("\n") for line in stream)
