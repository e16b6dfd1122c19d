"""The files of pictures as somebody names them, looked at before torch is loaded: what is no file is said at once."""

from pathlib import Path

from search_spaces.errors import UserError
from search_spaces.pasted_commands import shell_word
from search_spaces.paths import did_you_mean, user_path
from trainers.bundle.document import is_bundle

_EXPECTED = "expected the file of a picture."


def given_picture(image: str) -> tuple[str, str | None]:
    """The path of a picture as it is meant, and what is wrong with it where it is no file that can be read."""
    try:
        image.encode()
    except UnicodeEncodeError:
        return image, f"image {image!r} cannot be read: its name is no text in UTF-8: rename it."
    if not image:
        return image, f"image '' is empty: {_EXPECTED}"
    try:
        path = user_path(image)
        return path, _problem(image, path)
    except UserError as error:
        return image, str(error)


def _problem(image: str, path: str) -> str | None:
    if Path(path).is_file():
        return None
    if Path(path).is_dir():
        if is_bundle(Path(path)):
            return f"image {path!r} is a bundle: {_EXPECTED}"
        return f"image {path!r} is a directory: {_EXPECTED} Did you mean {_inside(Path(path))}?"
    if "://" in image:
        return f"image {image!r} is an address, and nothing is downloaded: {_EXPECTED}"
    if image == "-":
        return f"image '-': pictures are not read from standard input: {_EXPECTED}"
    if Path(path).exists():
        # To open a pipe is to wait for whoever writes into it. Links lead to those of a shell, as /dev/stdin does.
        return f"image {path!r} is no file: {_EXPECTED}"
    if Path(path).is_symlink():
        return f"image {path!r} is a link to what is not there: {_EXPECTED}"
    return f"image {path!r} is not there: {_EXPECTED}{did_you_mean(path, Path.is_file)}"


def _inside(directory: Path) -> str:
    """What a shell makes the files in a directory of, or those in its folders where it holds no others."""
    try:
        has_files = any(entry.is_file() for entry in directory.iterdir())
        has_folders = any(entry.is_dir() for entry in directory.iterdir())
    except OSError as error:
        raise UserError(f"image {str(directory)!r} is a directory that cannot be read: {error.strerror}.") from None
    return f"{shell_word(str(directory))}/*{'/*' if has_folders and not has_files else ''}"
