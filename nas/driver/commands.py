"""The commands that a user is told to type next."""

from collections.abc import Mapping, Sequence
from typing import Any

from nas.records.whereabouts import DriverRun
from nas.reporting.background import Background, NextCommand
from nas.settings.addresses import HIDDEN
from nas.settings.cluster_settings import ClusterSettings
from nas.settings.config_file import header_text
from nas.settings.header import SearchHeader
from nas.settings.run_directory import RunDirectory, runs_flag
from nas.settings.store_settings import LEDGER_VARIABLE
from search_spaces.pasted_commands import python_command


def resume_command(directory: RunDirectory, cluster: ClusterSettings, flags: Sequence[str] = ()) -> str:
    """The command that goes on with a search on these machines."""
    return _resumed(directory, [*flags, *cluster_flags(cluster)])


def last_resumed_command(directory: RunDirectory, driver: DriverRun | None, flags: Sequence[str] = ()) -> str:
    """The command that goes on with a search on the machines of its last driver, as far as its ledger knows them."""
    return _resumed(directory, [*flags, *(() if driver is None else driver.flags)])


def _resumed(directory: RunDirectory, flags: Sequence[str]) -> str:
    return python_command("nas/search.py", "--resume", directory.name, *flags, *runs_flag(directory))


def going_on(process: int) -> str:
    """What lets a suspended driver go on."""
    return f"`fg` in its terminal, or `kill -CONT {process}`, lets it go on"


def limit_flags(limits: Mapping[str, Any]) -> list[str]:
    """The flags that stand for limits, which are given by their names in `SearchSettings`."""
    return [
        word
        for name, value in limits.items()
        for word in (f"--{name.replace('_', '-')}", "none" if value is None else str(value))
    ]


def background_of(directory: RunDirectory, header: SearchHeader, driver: DriverRun | None) -> Background:
    """What the report of a search shows of its settings, and of what may be typed next wherever `runs/` is seen."""
    name, runs = directory.name, runs_flag(directory)
    one = python_command("nas/export.py", name, "--pick", "trial=NUMBER", *runs)
    live = python_command("nas/report.py", name, "--serve", *runs)
    return Background(
        header_text(header),
        (
            NextCommand("a bundle of the front's knee", export_command(directory)),
            NextCommand("a bundle of any trial, NUMBER being its number", one),
            NextCommand("the most accurate member and the anchors, trained fully", train_fully_command(directory)),
            NextCommand("this page while the search runs", live),
            NextCommand("going on with the search, as it ran last", last_resumed_command(directory, driver)),
        ),
    )


def status_command(directory: RunDirectory) -> str:
    """The command that says what a search is doing, from any machine that may."""
    noted = directory.noted_ledger
    ledger = [] if noted is None or HIDDEN in noted else ["--ledger-url", noted]
    return python_command("nas/status.py", directory.name, *ledger, "--runs-dir", str(directory.runs))


def status_lines(directory: RunDirectory) -> list[str]:
    """Where a search can be looked at while it runs, and by what command."""
    noted = directory.noted_ledger
    seen = "" if noted is not None and directory.storage is not None else f" that sees {str(directory.runs)!r}"
    secret = f", with {LEDGER_VARIABLE} in its environment" if noted is not None and HIDDEN in noted else ""
    return [f"what it is doing is said, on any machine{seen}{secret}, by", f"  {status_command(directory)}"]


def report_command(directory: RunDirectory) -> str:
    """The command that makes the report of a search and brings MLflow up to its ledger."""
    return python_command("nas/report.py", directory.name, *runs_flag(directory))


def export_command(directory: RunDirectory) -> str:
    """The command that exports the knee of the front of a search."""
    return python_command("nas/export.py", directory.name, "--pick", "knee", *runs_flag(directory))


def train_fully_command(directory: RunDirectory) -> str:
    """The command that trains the best of a front and the anchors fully, and compares them."""
    return python_command("nas/train_fully.py", directory.name, *runs_flag(directory))


def cluster_flags(cluster: ClusterSettings) -> list[str]:
    """The flags that say on what machines trials run, and what each takes."""
    address = [] if cluster.address is None else ["--address", cluster.address]
    gpus = ["--gpus-per-trial", f"{cluster.gpus_per_trial:g}"] if cluster.gpus_per_trial else []
    cpus = ["--cpus-per-trial", f"{cluster.cpus_per_trial:g}"] if cluster.cpus_per_trial != 1 else []
    several = cluster.processes_per_trial
    processes = [] if several is None else ["--processes-per-trial", str(several)]
    accelerator = [] if cluster.accelerator is None else ["--accelerator", cluster.accelerator]
    bad = ["--bad-nodes", cluster.bad_nodes] if cluster.bad_nodes != "refuse" else []
    dashboard = ["--dashboard"] if cluster.dashboard else []
    return [*address, *gpus, *cpus, *processes, *accelerator, *bad, *dashboard]
