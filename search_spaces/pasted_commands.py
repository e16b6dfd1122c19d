"""Commands that are printed to be pasted: they mean the same in any directory, whatever characters their paths hold."""

import shlex
from pathlib import Path

from search_spaces.programs import program_words
from search_spaces.version import project_directory

PROJECT = Path(__file__).resolve().parents[1]

# By what a launcher tells the processes that it starts which command goes on with them.
COMMAND_VARIABLE = "TRAINING_COMMAND"


def shell_word(text: str) -> str:
    """The text as one word of bash, in one line, quoted where it has to be."""
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(_escaped(character) for character in text) + "'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\{byte:03o}" for byte in character.encode(errors="surrogateescape"))


def python_command(script: str, *words: str) -> str:
    """The command that runs a script of this project, as `nas/search.py`: short in the project's own directory.

    Where the project was installed without a checkout it is the installed command.
    """
    program = program_words(script)
    if project_directory() is not None and not stands_in_project():
        program = ["python", str(PROJECT / script)]
    return " ".join(map(shell_word, [*program, *words]))


def stands_in_project() -> bool:
    """Whether the program was started in the project's directory, from where its commands and defaults are short."""
    return Path.cwd() == PROJECT
