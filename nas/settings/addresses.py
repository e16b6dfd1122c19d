"""Addresses of databases and servers without the passwords in them: for whatever is printed, logged or kept.

What a search keeps of an address lacks its secrets, which have to be given again.
"""

import os
import re
from urllib.parse import unquote

# What stands before the "@" of an address, and query values that name a secret.
_USER_INFO = re.compile(r"(?<=://)(?!/)\S*(?=@)")
_SECRET_VALUE = re.compile(r"(?<=[?&;])((?:[a-z_]*password|[a-z_]*token|[a-z_]*secret|[a-z_]*key)=)([^&\s;]*)", re.I)
HIDDEN = "***"

MLFLOW_VARIABLE = "MLFLOW_TRACKING_URI"


def redacted(uri: str) -> str:
    """`uri` with `***` for the user and the password in it, and for secrets among its query values."""
    return _SECRET_VALUE.sub(rf"\g<1>{HIDDEN}", _USER_INFO.sub(HIDDEN, uri))


def without_secrets(text: str, uri: str) -> str:
    """`text`, such as an error's, with `***` for every secret of `uri` in it, percent-encoded or not."""
    for secret in sorted(_secrets(uri), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return redacted(text)


def _secrets(uri: str) -> set[str]:
    found = {match.group(2) for match in _SECRET_VALUE.finditer(uri)}
    for match in _USER_INFO.finditer(uri):
        user, colon, password = match.group().partition(":")
        found.add(password if colon else user)
    return {written for secret in found if secret for written in (secret, unquote(secret))}


def whole_address(kept: str, given: str | None, variable: str) -> str | None:
    """The address of which `redacted` left `kept`: that itself where nothing is missing in it, `given`, or the one in
    `variable` of the environment. None where none of them is."""
    known = (kept if HIDDEN not in kept else None, given, os.environ.get(variable))
    return next((address for address in known if address and redacted(address) == kept), None)
