"""Addresses of databases and servers without the passwords in them: for whatever is printed, logged or kept.

What a search keeps of an address lacks its secrets, which have to be given again.
"""

import os
import re
from collections.abc import Callable
from urllib.parse import unquote

# What stands before the "@" of an address, but for the words that say what is expected there, and query values that
# name a secret.
_USER_INFO = re.compile(r"(?<=://)(?!/|USER:PASSWORD@)\S*(?=@)")
_SECRET_NAME = "[a-z_]*(?:password|passwd|pwd|token|secret|key)"
_SECRET_VALUE = re.compile(rf"(?<=[?&;])({_SECRET_NAME}=)([^&\s;]*)", re.I)
# The same in whatever was typed for an address: white space may be part of the value, or stand between two.
_TYPED_VALUE = re.compile(
    rf"(?<![a-z_])({_SECRET_NAME}\s*=\s*)('[^']*'?|\"[^\"]*\"?|.*?(?=\s+\w+\s*=|[&;]|$))", re.I | re.S
)
# What an address begins with, the colon or a slash too few, and what stands there in the place of a port.
_BEGINNING = re.compile(
    r"\s*(?:(?:jdbc:)?[a-z][\w+.-]*://|(?:postgres(?:ql)?|mysql|mssql|https?|sqlite)(?:\+\w+)?[:/]+)", re.I
)
_NO_PORT = re.compile(r"((?:\[[^\]]*\]|[^:/?#@\[\s]*):)(?!\d*(?:[/?#]|$)).*", re.S)
# What a message quotes.
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
HIDDEN = "***"
SHORTEST_WITHIN_WORDS = 4

MLFLOW_VARIABLE = "MLFLOW_TRACKING_URI"


def redacted(text: str) -> str:
    """`text`, such as an address or what was said of some, with `***` for user, password, and secret query values.

    Where it quotes an address, that may be malformed."""
    found = _QUOTED.sub(lambda match: _redacted_quotation(match.group()), text)
    return _SECRET_VALUE.sub(rf"\g<1>{HIDDEN}", _USER_INFO.sub(HIDDEN, found))


def redacted_address(typed: str) -> str:
    """What was typed for an address with `***` for all in it that may be a secret, however malformed it is."""
    beginning = found.group() if (found := _BEGINNING.match(typed)) else ""
    rest = typed[len(beginning) :]
    if beginning.lstrip().lower().startswith("sqlite"):
        return typed
    if "@" in rest:
        rest = f"{HIDDEN}@{rest.rpartition('@')[2]}"
    elif (found := _NO_PORT.match(rest)) is not None:
        # What cannot be a port may be a password that lacks what follows it.
        rest = found[1] + HIDDEN
    return beginning + _TYPED_VALUE.sub(rf"\g<1>{HIDDEN}", rest)


def _redacted_quotation(quotation: str) -> str:
    mark, inside = quotation[0], quotation[1:-1]
    scheme, slashes, rest = inside.partition("://")
    if "@" not in rest or rest.startswith("/"):
        return quotation
    # KEY=ADDRESS, as it was typed.
    key, equals, scheme = scheme.rpartition("=")
    return f"{mark}{key}{equals}{redacted_address(scheme + slashes + rest)}{mark}"


def without_secrets(text: str, uri: str) -> str:
    """`text`, such as an error's, with `***` for every secret of `uri` in it, percent-encoded or not."""
    for secret in sorted(_secrets(uri), key=len, reverse=True):
        # One of few letters, as a user without a password, is a part of many words.
        is_short = len(secret) < SHORTEST_WITHIN_WORDS
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)" if is_short else re.escape(secret), HIDDEN, text)
    return redacted(text)


def _secrets(uri: str) -> set[str]:
    found = {match.group(2) for match in _SECRET_VALUE.finditer(uri)}
    for match in _USER_INFO.finditer(uri):
        user, colon, password = match.group().partition(":")
        found.add(password if colon else user)
    return {written for secret in found if secret for written in (secret, unquote(secret))}


def whole_address(
    kept: str, given: str | None, variable: str, spelled: Callable[[str], str] = lambda address: address
) -> str | None:
    """The address of which `redacted` left `kept`: `given`, the one in `variable` of the environment, or that itself
    where nothing is missing in it. None where none of them is. Addresses that `spelled` makes the same are the same."""
    known = (given, os.environ.get(variable), kept if HIDDEN not in kept else None)
    return next((one for one in known if one and spelled(redacted(one)) == spelled(kept)), None)
