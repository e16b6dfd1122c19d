"""The commands that a user is told to type next."""

import shlex
from pathlib import Path

from nas.settings.run_directory import DEFAULT_RUNS_DIRECTORY, RunDirectory
from nas.settings.search_settings import ClusterSettings


def resume_command(directory: RunDirectory, cluster: ClusterSettings) -> str:
    """The command that goes on with a search on the same machines, of which its ledger knows nothing."""
    return f"python nas/search.py --resume {directory.name}{_runs_flag(directory)}{_cluster_flags(cluster)}"


def report_command(directory: RunDirectory) -> str:
    """The command that makes the report of a search and brings MLflow up to its ledger."""
    return f"python nas/report.py {directory.name}{_runs_flag(directory)}"


def export_command(directory: RunDirectory) -> str:
    """The command that exports the knee of the front of a search."""
    return f"python nas/export.py {directory.name} --pick knee{_runs_flag(directory)}"


def train_fully_command(directory: RunDirectory) -> str:
    """The command that trains the best of a front and the anchors fully, and compares them."""
    return f"python nas/train_fully.py {directory.name}{_runs_flag(directory)}"


def _cluster_flags(cluster: ClusterSettings) -> str:
    address = "" if cluster.address is None else f" --address {shlex.quote(cluster.address)}"
    gpus = f" --gpus-per-trial {cluster.gpus_per_trial:g}" if cluster.gpus_per_trial else ""
    cpus = f" --cpus-per-trial {cluster.cpus_per_trial:g}" if cluster.cpus_per_trial != 1 else ""
    return address + gpus + cpus


def _runs_flag(directory: RunDirectory) -> str:
    return (
        ""
        if directory.runs == Path(DEFAULT_RUNS_DIRECTORY).resolve()
        else f" --runs-dir {shlex.quote(str(directory.runs))}"
    )
