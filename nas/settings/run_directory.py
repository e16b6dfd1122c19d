"""Where a search keeps what it writes: one directory under the runs directory, and the MLflow store beside it.

What its workers read and write, and what it comes to, may be at the address of a storage instead.
"""

import contextlib
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from search_spaces.errors import UserError, unknown_name
from search_spaces.pasted_commands import PROJECT, shell_word, stands_in_project
from search_spaces.paths import check_can_be_directory, did_you_mean
from search_spaces.run_files import DEFAULT_RUNS_DIRECTORY, LEDGER, LEDGER_NOTE, holds_search
from trainers.folders import Directory, Folder
from trainers.storage.address import StorageAddress
from trainers.storage.remote_folder import RemoteFolder

# In the runs directory, beside the searches: where several are compared, and MLflow's database and files.
COMPARISONS = "comparisons"
# In the directory of a search, or in its folder at the storage.
CHECKPOINTS = "checkpoints"
_NOT_OF_SEARCHES = (COMPARISONS, "mlflow.db", "mlflow-artifacts")

LONGEST_NAME = 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The paths of the search `name` under `runs` (absolute), and its folder at the address `storage`, if any."""

    runs: Path
    name: str
    storage: str | None = None

    @property
    def path(self) -> Path:
        return self.runs / self.name

    @property
    def ledger(self) -> Path:
        return self.path / LEDGER

    @property
    def ledger_note(self) -> Path:
        """Says where the ledger is, where it is not the one in the directory."""
        return self.path / LEDGER_NOTE

    @property
    def noted_ledger(self) -> str | None:
        """The address of the ledger, without user and password; None where that is in the directory."""
        if self.ledger.is_file() or not self.ledger_note.is_file():
            return None
        return self.ledger_note.read_text(encoding="utf-8").strip()

    @property
    def has_ledger(self) -> bool:
        """Raises UserError where whoever asks may not look into the directory."""
        try:
            return self.ledger.is_file() or self.ledger_note.is_file()
        except PermissionError:
            raise UserError(
                f"search {self.name!r} cannot be read: {str(self.path)!r} may not be entered by this user."
            ) from None

    @property
    def left_without_ledger(self) -> list[str]:
        """What a search has left in its directory, where its ledger is gone, as from a copy without it."""
        left = (self.front, self.summary, self.report, self.full_trainings, self.path / CHECKPOINTS)
        return [] if self.has_ledger else [path.name for path in left if path.exists()]

    @property
    def lock(self) -> Path:
        return self.path / "driver.lock"

    @property
    def requests(self) -> Path:
        """What the driver is asked for from elsewhere while it runs."""
        return self.path / "requests"

    @property
    def front(self) -> Path:
        return self.path / "front.json"

    @property
    def summary(self) -> Path:
        return self.path / "summary.json"

    @property
    def report(self) -> Path:
        return self.path / "report"

    @property
    def data_index(self) -> Path:
        """What the search found in the folders of its images."""
        return self.path / "data.index"

    @property
    def full_trainings(self) -> Path:
        """Where `nas/train_fully.py` trains, a directory for each trial."""
        return self.path / "full"

    @property
    def errors(self) -> Path:
        """What Python and Ray said of trials that failed, a file for each."""
        return self.path / "errors"

    @property
    def ray(self) -> Path:
        return self.path / "ray"

    def stored_at(self, storage: str | None) -> "RunDirectory":
        """The same search, of which the address is known by now."""
        return replace(self, storage=storage)

    @property
    def kept(self) -> Folder:
        """Where every worker reads and writes, and results are kept: at the storage, or else in the directory."""
        if self.storage is None:
            return Directory(self.path)
        return RemoteFolder(StorageAddress.of(self.storage).located()).inside(self.name)

    @property
    def all_checkpoints(self) -> Folder:
        """Where the trials keep their checkpoints, each in a folder."""
        return self.kept.inside(CHECKPOINTS)

    def make_place_of_checkpoints(self) -> None:
        """Makes the directory of all checkpoints, by which workers see that the search's has not fallen away."""
        if isinstance(place := self.all_checkpoints, Directory):
            place.path.mkdir(exist_ok=True)

    def checkpoints(self, number: int) -> Folder:
        """Where trial `number` keeps its checkpoints."""
        return self.all_checkpoints.inside(f"{number:04d}")


def runs_flag(directory: RunDirectory) -> list[str]:
    """The words of a pasted command that say where a search is, where they are needed."""
    is_default = stands_in_project() and directory.runs == PROJECT / DEFAULT_RUNS_DIRECTORY
    return [] if is_default else ["--runs-dir", str(directory.runs)]


def error_file(errors: Path, number: int) -> Path:
    """Where what was said of the failures of trial `number` is, in the directory `errors` of its search."""
    return errors / f"{number:04d}.txt"


def run_directory(runs: str, name: str) -> RunDirectory:
    """The directory of a search. Raises UserError on a name that could leave the runs directory."""
    if len(name) > LONGEST_NAME:
        raise UserError(
            f"search name {name[:LONGEST_NAME] + '…'!r} has {len(name)} characters: expected at most {LONGEST_NAME}."
        )
    if os.sep in name and holds_search(Path(name)):
        runs, _, meant = name.rstrip(os.sep).rpartition(os.sep)
        raise UserError(
            f"search name {name!r} is a path: expected a name. Did you mean "
            f"{' '.join(map(shell_word, [meant, '--runs-dir', runs or os.sep]))}?"
        )
    if not _NAME.fullmatch(name):
        raise UserError(
            f"search name {name!r}: expected letters, digits, '.', '_' and '-', starting with a letter or digit."
        )
    if ".." in name:
        raise UserError(f"search name {name!r} has two full stops in a row: expected single ones.")
    return RunDirectory(Path(runs).resolve(), name)


def check_new_name(name: str) -> None:
    """Raises UserError where a search cannot be called so, since something else has that name in the runs directory."""
    if name.casefold() in _NOT_OF_SEARCHES:
        raise UserError(
            f"search name {name!r} is that of another part of the runs directory: expected another, as {name}-1."
        )


def existing_run(runs: str, name: str) -> RunDirectory:
    """The directory of a search that has a ledger. Raises UserError naming the nearest where there is none."""
    directory = run_directory(runs, name)
    if not directory.has_ledger:
        check_ledger_is_not_lost(directory)
        if directory.lock.is_file():
            raise UserError(
                f"search {name!r} is just starting, or was ended while it did: {str(directory.path)!r} holds no ledger "
                "yet. Ask again in a moment, or start it again with the command that it was to begin with."
            )
        _check_runs(directory)
        names = search_names(directory.runs)
        unbegun = (
            "One that was ended before it began left nothing: start it again with its first command. One that was just "
            "started is known in a moment."
        )
        if not names:
            raise UserError(f"unknown search {name!r}: there is none in {str(directory.runs)!r}. {unbegun}")
        raise UserError(f"{unknown_name('search', name, names)} {unbegun}")
    return directory


class NameIsTaken(UserError):
    """A new search has the name of another."""


def name_is_taken(name: str) -> NameIsTaken:
    """What a new search is refused by that has the name of another."""
    return NameIsTaken(f"a search named {name!r} exists already: resume it with --resume {name}.")


def check_ledger_is_not_lost(directory: RunDirectory) -> None:
    """Raises UserError where what a search has come to is there without its ledger, which a new one would overwrite."""
    left = directory.left_without_ledger
    if left:
        raise UserError(
            f"search {directory.name!r} has lost its ledger: {str(directory.path)!r} holds {', '.join(left)} and "
            f"neither {LEDGER} nor {LEDGER_NOTE}. Bring that back, as from where it was copied, or fork again where "
            "that was cut off; a new search needs another --name, or this directory gone."
        )


def _check_runs(directory: RunDirectory) -> None:
    """Raises UserError where the runs directory of a search is none."""
    runs = directory.runs
    if runs.is_dir():
        return
    said = f"unknown search {directory.name!r}: runs directory {str(runs)!r}"
    if runs.exists():
        raise UserError(f"{said} is a file, expected a directory.")
    raise UserError(
        f"{said} is not there: expected --runs-dir DIR, where searches are kept; the first makes it, a moment after it "
        f"was started.{did_you_mean(runs, _keeps_searches)}"
    )


def _keeps_searches(runs: Path) -> bool:
    return runs.is_dir() and bool(search_names(runs))


def search_names(runs: Path) -> list[str]:
    """The searches under a runs directory, sorted by name, without those of others that this user may not read."""
    directories = [RunDirectory(runs, path.name) for path in runs.iterdir()] if runs.is_dir() else []
    names = []
    for directory in directories:
        with contextlib.suppress(UserError):
            names += [directory.name] if directory.has_ledger else []
    return sorted(names)


def check_writable(directory: RunDirectory) -> None:
    """Raises UserError where the directory of a search cannot be made or written. Leaves nothing behind."""
    check_can_be_directory(directory.path, f"runs directory {str(directory.runs)!r}")
