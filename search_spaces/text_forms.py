"""Texts that look the same and are not: letters with accents may be one character each, or a letter and its accents.

Linux takes such names for two, macOS for one, and archives bring either form.
"""

import unicodedata


def differ_in_form_alone(text: str, other: str) -> bool:
    """Whether two different texts are the same in Unicode's composed form, so that nobody can see the difference."""
    return text != other and unicodedata.normalize("NFC", text) == unicodedata.normalize("NFC", other)


def told_apart(name: str, other: str) -> str:
    """What is said of two names that differ in form alone, so that they can be told apart."""
    return f"{name!r} and {other!r} differ in Unicode normalisation alone (they are {name!a} and {other!a})"


def renamed(name: str, other: str) -> str:
    """The same, and the command that renames the first as the other, for bash and zsh, whose $'...' knows escapes."""
    return f"{told_apart(name, other)}: rename the first as the other, mv ${name!a} ${other!a}"
