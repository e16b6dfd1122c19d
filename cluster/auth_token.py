"""The token by which a Ray cluster lets in whoever joins it, found where Ray looks for it: a slip is said in words."""

import os
from collections.abc import Mapping
from pathlib import Path

from search_spaces.errors import UserError, first_line

_PATH, _DIRECTLY = "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_TOKEN"


def check_token(environment: Mapping[str, str] = os.environ) -> None:
    """Raises UserError where a token is asked for by RAY_AUTH_MODE and there is none that could be one.

    Ray takes that of RAY_AUTH_TOKEN, else that in the file RAY_AUTH_TOKEN_PATH, else that in ~/.ray/auth_token. What it
    is does not appear in the error.
    """
    if environment.get("RAY_AUTH_MODE", "").lower() != "token":
        return
    if token := environment.get(_DIRECTLY):
        _check(token, f"{_DIRECTLY} of the environment")
        return
    given = environment.get(_PATH)
    file = Path(given) if given else Path.home() / ".ray" / "auth_token"
    name = f"{_PATH} {str(file)!r}" if given else repr(str(file))
    try:
        content = file.read_bytes().decode("ascii")
    except UnicodeDecodeError:
        raise _no_token(f"{name} holds other than letters and digits") from None
    except FileNotFoundError:
        raise _no_token(f"{name} is not there") from None
    except OSError as error:
        raise _no_token(f"{name} cannot be read ({error.strerror or first_line(error)})") from None
    _check(content, name)


def _check(token: str, name: str) -> None:
    lines = token.split()
    if not lines:
        raise _no_token(f"{name} is empty")
    if len(lines) > 1:
        raise _no_token(f"{name} holds {len(lines)} words")
    if not (lines[0].isascii() and lines[0].isprintable()):
        raise _no_token(f"{name} holds other than letters and digits")


def _no_token(found: str) -> UserError:
    return UserError(f"RAY_AUTH_MODE is 'token', and {found}: expected the cluster's own token there, on one line.")
