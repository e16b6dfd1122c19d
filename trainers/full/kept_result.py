"""The result that says that a training has ended, as it is read before the same training would begin again."""

import json
from pathlib import Path
from typing import Any

from search_spaces.errors import UserError


def read_result(file: Path, trained: Path) -> dict[str, Any] | None:
    """The result in `file`, None where there is none yet.

    Raises UserError where it is damaged, or the directory `trained` is missing that was written before it: what is to
    be done about that is the user's to say, as it may have been moved.
    """
    again = f"or delete {str(file)!r}, and the same command makes it anew, from the last checkpoint if there is one"
    try:
        result = json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        result = None
    if not isinstance(result, dict):
        raise UserError(f"{str(file)!r} is damaged: bring it back, {again}.")
    if not trained.is_dir():
        raise UserError(f"{str(file)!r} is there and {str(trained)!r} is not: bring it back, {again}.")
    return result
