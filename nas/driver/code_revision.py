"""Which revision of the project's code is running."""

import subprocess
from pathlib import Path


def code_revision() -> str:
    """The commit of this checkout, "+" when it has changes; "unknown" where there is no git."""
    project = Path(__file__).resolve().parents[2]
    try:
        described = subprocess.run(
            ["git", "-C", str(project), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"],
            capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return described.stdout.strip()
