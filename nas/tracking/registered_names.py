"""The names of registered models and their aliases, as MLflow and its URLs can hold them. Imports no MLflow."""

import re

from search_spaces.errors import UserError

DEFAULT_ALIAS = "best"

LONGEST_NAME = 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# Names that MLflow keeps for versions.
_RESERVED_ALIAS = re.compile(r"v?\d+|latest", re.IGNORECASE)


def check_names(model_name: str, alias: str) -> None:
    """Raises UserError where MLflow or a URL could not hold them."""
    expected = "expected letters, digits, '.', '_' and '-', starting with a letter or digit"
    for flag, name in (("--register", model_name), ("--alias", alias)):
        if len(name) > LONGEST_NAME:
            raise UserError(
                f"{flag} is {name[:LONGEST_NAME] + '…'!r}, {len(name)} characters: expected at most {LONGEST_NAME}."
            )
    if not _NAME.fullmatch(model_name):
        raise UserError(f"--register is {model_name!r}: {expected}.")
    if not _NAME.fullmatch(alias) or _RESERVED_ALIAS.fullmatch(alias):
        raise UserError(f"--alias is {alias!r}: {expected}, and neither 'latest' nor a version.")
