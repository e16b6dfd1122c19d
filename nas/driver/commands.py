"""The commands that a user is told to type next."""

from pathlib import Path

from nas.settings.run_directory import DEFAULT_RUNS_DIRECTORY, RunDirectory


def resume_command(directory: RunDirectory) -> str:
    """The command that goes on with a search."""
    return f"python nas/search.py --resume {directory.name}{_runs_flag(directory)}"


def report_command(directory: RunDirectory) -> str:
    """The command that makes the report of a search and brings MLflow up to its ledger."""
    return f"python nas/report.py {directory.name}{_runs_flag(directory)}"


def export_command(directory: RunDirectory) -> str:
    """The command that exports the knee of the front of a search."""
    return f"python nas/export.py {directory.name} --pick knee{_runs_flag(directory)}"


def _runs_flag(directory: RunDirectory) -> str:
    return "" if directory.runs == Path(DEFAULT_RUNS_DIRECTORY).resolve() else f" --runs-dir {directory.runs}"
