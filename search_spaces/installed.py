"""Whether a Python has what the project needs: asked first of all, by scripts of a checkout that any Python may run.

So it imports nothing of the project, and is written as older versions of Python read it.
"""

import importlib.util
import os
import shlex
import sys

OLDEST_PYTHON = (3, 11)
# Some of what everything here needs.
_PACKAGES = ("numpy", "yaml", "torch")
_MISTAKE = 2


def require_installed() -> None:
    """Ends the program with one line and exit code 2 where this Python is too old, lacks what the project needs, or is
    that of a system without what the project takes from POSIX."""
    if os.name != "posix":
        sys.stderr.write("error: this is Windows, expected Linux or macOS: WSL runs the project (wsl --install)\n")
        sys.exit(_MISTAKE)
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if sys.version_info >= OLDEST_PYTHON and not missing:
        return
    directory = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    activate = os.path.join(directory, ".venv", "bin", "activate")
    remedy = "pip install " + directory
    if os.path.isfile(activate):
        remedy = "source " + shlex.quote(activate)
    elif os.path.isfile(os.path.join(directory, "Makefile")):
        remedy = f"make -C {shlex.quote(directory)} makes it an environment, then source {shlex.quote(activate)}"
    trouble = f"lacks {', '.join(missing)}" if missing else "is older than 3.11"
    sys.stderr.write(f"error: this Python, {sys.executable!r}, {trouble}, which the project needs: {remedy}\n")
    sys.exit(_MISTAKE)
