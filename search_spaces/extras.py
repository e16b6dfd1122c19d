"""What a search needs beside what bundles need: the packages of the extra `search`, and whether they are installed."""

import importlib.util
import sys

from search_spaces.errors import printable
from search_spaces.exit_codes import MISTAKE
from search_spaces.pasted_commands import shell_word
from search_spaces.version import DISTRIBUTION, project_directory

# As they are imported.
SEARCH_PACKAGES = (
    "fsspec", "hydra", "jinja2", "mlflow", "optuna", "pandas", "plotly", "psutil", "pyarrow", "ray", "rich", "scipy",
    "sqlalchemy", "threadpoolctl",
)  # fmt: skip


def missing_of_the_search() -> list[str]:
    """The packages of the extra `search` that are not installed. Loads none of them."""
    return [name for name in SEARCH_PACKAGES if importlib.util.find_spec(name) is None]


def lacks_the_search(asked: str) -> str | None:
    """The line for whoever has asked for what needs a search's packages, where some are not installed; else None."""
    missing = missing_of_the_search()
    if not missing:
        return None
    return printable(
        f"{asked} needs the extra 'search' ({', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not "
        f"installed): {install_command('search')}"
    )


def require_search(asked: str) -> None:
    """Ends the program with one line and exit code 2 where a search's packages are not installed.

    For the beginning of a script, before it imports what imports them.
    """
    lacking = lacks_the_search(asked)
    if lacking is not None:
        print(f"error: {lacking}", file=sys.stderr)
        sys.exit(MISTAKE)


def install_command(extra: str) -> str:
    """The command that installs an extra, from the checkout where there is one."""
    directory = project_directory()
    what = DISTRIBUTION if directory is None else str(directory)
    return f"pip install {shell_word(f'{what}[{extra}]')}"
