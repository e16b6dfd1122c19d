"""Paths as they are typed: `~` is a home, and what cannot be a path of this machine is said at once."""

import errno
import os
import tempfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from search_spaces.errors import UserError, near_names

_IMPOSSIBLE = (errno.ENAMETOOLONG, errno.ELOOP)
_FULL = (errno.ENOSPC, errno.EDQUOT)
# So many names of a directory are looked at for one that may be meant.
_MOST_NAMES = 10_000


def user_path(text: str) -> str:
    """The path that a user typed, with `~` or `~NAME` at its beginning taken for that home.

    Raises UserError where no home is known, its bytes are no text or hold a zero, it is too long or leads in a circle,
    a directory above it may not be entered, and where nothing is there and it has white space around it or a line break
    in it.
    """
    if "\0" in text:
        raise UserError(f"path {text!r} cannot be: no path holds a zero byte.")
    path = os.path.expanduser(text)
    if path.startswith("~"):
        home = path.partition("/")[0]
        raise UserError(f"path {text!r}: no home of {home!r} is known: expected ./{home} for what is called so.")
    try:
        path.encode()
    except UnicodeEncodeError:
        raise UserError(f"path {text!r} is no text: expected a name in UTF-8, or PYTHONUTF8=1 if it is.") from None
    try:
        os.stat(path)
    except OSError as error:
        if error.errno in _IMPOSSIBLE:
            raise UserError(f"path {text!r} cannot be: {error.strerror}.") from None
        # A word alone may be a name that needs no directory, as that of a space.
        if isinstance(error, PermissionError) and os.sep in path:
            raise UserError(f"path {not_permitted(error)}") from None
        if not path.strip():
            raise UserError(
                f"path {text!r} is white space alone: expected the name of a directory or a file."
            ) from None
        if path != path.strip() or "\n" in path:
            meant = " ".join(path.split("\n")).strip()
            raise UserError(
                f"path {text!r} has white space around it or a line break in it, and is not there. Did you mean "
                f"{meant!r}?"
            ) from None
    return path


def not_permitted(error: PermissionError) -> str:
    """What keeps this user from the path that an error names: that a directory above it may not be entered, or itself.

    Raises the error again where it names none, as that of a signal to another user's process.
    """
    if not isinstance(error.filename, str | bytes | os.PathLike):
        raise error
    path = os.fsdecode(error.filename)
    locked = next((above for above in reversed(Path(path).parents) if not os.access(above, os.X_OK)), None)
    if locked is None:
        return f"{path!r} is not for this user to read, or to write ({error.strerror})."
    return f"{path!r} cannot be reached: {str(locked)!r} may not be entered by this user."


def did_you_mean(path: str | Path, is_meant: Callable[[Path], bool] = Path.exists) -> str:
    """The sentence that names the nearest path to one that is not there, after a space; "" where there is none.

    The first directory of it that is not there is taken for one beside that, in which the rest of it is. `is_meant`
    says of a path that is there whether it is of the kind that was expected.
    """
    near = nearest_path(Path(path), is_meant)
    return "" if near is None else f" Did you mean {str(near)!r}?"


def nearest_path(path: Path, is_meant: Callable[[Path], bool] = Path.exists) -> Path | None:
    """The path of `did_you_mean`: what is spelled much the same, and more than its suffix."""
    missing = path
    try:
        while not missing.parent.is_dir() and missing != missing.parent:
            missing = missing.parent
        if is_meant(path) or (missing.exists() and missing != path):
            return None
        with os.scandir(missing.parent) as entries:
            names = [entry.name for entry in islice(entries, _MOST_NAMES) if entry.name != missing.name]
        hidden = missing.name.startswith(".")
        near = near_names(missing.name, sorted(name for name in names if hidden or not name.startswith(".")))
        beside = [missing.parent / name for name in near if near_names(missing.stem, [Path(name).stem])]
        found = (other / path.relative_to(missing) for other in beside)
        return next((other for other in found if is_meant(other)), None)
    except OSError:
        return None


def check_others_are_not_in(directory: Path, known_by: str, said: str) -> None:
    """Raises UserError, beginning with `said`, where others have put files in a directory that is to be written to.

    What was written there before is known by one of its files, `known_by`. Hidden files are no obstacle.
    """
    if not directory.is_dir() or (directory / known_by).is_file():
        return
    others = sorted(path.name for path in directory.iterdir() if not path.name.startswith("."))
    if others:
        raise UserError(
            f"{said}: {str(directory)!r} holds {others[0]!r} and no {known_by}: expected a directory that is new, or "
            "empty, or was written so before."
        )


def check_can_be_directory(directory: Path, said: str) -> None:
    """Raises UserError, beginning with `said`, where a directory cannot be made or written. Leaves nothing behind.

    A full disk is no mistake of the user's: whoever writes there comes across it.
    """
    existing = directory
    try:
        while not existing.exists():
            existing = existing.parent
    except PermissionError as error:
        raise UserError(f"{said}: {not_permitted(error)}") from None
    if not existing.is_dir():
        raise UserError(f"{said}: {str(existing)!r} is a file, expected a directory.")
    try:
        Path(tempfile.mkdtemp(prefix=".probe-", dir=existing)).rmdir()
    except OSError as error:
        if error.errno in _FULL:
            return
        # What the kernel shows as a directory says of any new name that it is not there.
        reason = "nothing can be made there" if error.errno == errno.ENOENT else error.strerror
        raise UserError(f"{said}: {str(existing)!r} is not writable ({reason}).") from None
