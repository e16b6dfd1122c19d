"""Searches architectures for accuracy against FLOPs.

python nas/search.py --space resnet_stages [--help]
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from nas.interruption import EXIT_INTERRUPTED, interruption
from nas.run_directory import RunDirectory, check_writable, run_directory
from nas.settings import Command, read_command
from search_spaces.errors import UserError
from trainers.data import DataSummary, check_data

# The other imports take seconds (Ray, MLflow); a mistake on the command line is reported before them.
if TYPE_CHECKING:
    from nas.ledger import Ledger
    from nas.records import TrialRecord
    from nas.summary import Summary
    from nas.tracking import Tracker

EXIT_MISTAKE = 2


def main(arguments: Sequence[str]) -> int:
    """Runs a command line. The exit code: 0, 2 on a user's mistake, 130 after Ctrl-C."""
    console = Console(highlight=False)
    try:
        command = read_command(arguments)
        directory = run_directory(command.runs_dir, command.name)
        check_writable(directory)
        data = check_data(command.data)
        if command.plan:
            from nas.plan import print_plan

            print_plan(console, command.space, data, command.search, command.training.epochs)
            return 0
        return search(console, command, directory, data)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_MISTAKE


def search(console: Console, command: Command, directory: RunDirectory, data: DataSummary) -> int:
    """One search, from the first proposal to the report. The exit code. Raises UserError."""
    from nas.conclusion import (
        SearchEnd,
        drop_checkpoints,
        mlflow_lines,
        note,
        print_conclusion,
        write_results,
    )
    from nas.engine import Engine
    from nas.plan import check_reachable
    from nas.progress import ProgressView
    from nas.searcher import TrialTemplate
    from nas.summary import summarise
    from nas.tracking import TrackerThread, quiet_mlflow
    from nas.tuner import ray_cluster, run_trials

    started = time.monotonic()
    _, most_flops = check_reachable(command.space, data, command.search.max_flops)
    reference = (1 / data.classes, command.search.max_flops or float(most_flops))
    budget = command.search.time_budget_seconds
    quiet_mlflow()
    console.print(
        f"search {command.name}: up to {command.search.trials} architectures of {command.space.name} on {data.name}"
    )
    with interruption() as interrupted, ray_cluster(command.cluster) as slots:
        ledger = _ledger(command, directory)
        engine = Engine(ledger, command.space, data, command.search, command.training.epochs)
        template = TrialTemplate(
            data=command.data,
            data_summary=data,
            training=command.training,
            directory=directory,
            device="cuda" if command.cluster.gpus_per_trial else "cpu",
            threads=max(1, int(command.cluster.cpus_per_trial)),
        )

        def summary() -> "Summary":
            return summarise(engine.records, reference)

        def state() -> "tuple[Sequence[TrialRecord], Summary]":
            return engine.records, summary()

        trials_started = time.monotonic()

        def should_stop() -> bool:
            return interrupted.is_set() or (budget is not None and time.monotonic() - trials_started > budget)

        uri = _tracking_uri(command, directory)
        with TrackerThread(lambda: _tracker(command, directory, ledger, uri), state) as tracking:
            with ProgressView(console, summary, command.search.trials, budget):
                run_trials(engine, template, command.cluster, slots, should_stop)
            search_seconds = time.monotonic() - trials_started
    end = SearchEnd(
        name=command.name,
        search_id=ledger.search_id,
        data=data.name,
        interrupted=interrupted.is_set(),
        search_seconds=search_seconds,
        seconds=time.monotonic() - started,
    )
    result = summary()
    paths = write_results(directory, end, engine.records, result)
    drop_checkpoints(directory, engine.records, result)
    tracking.finish(paths, lambda tracker: note(tracker, end, result), end.interrupted)
    print_conclusion(console, directory, end, result, mlflow_lines(tracking.tracker, tracking.failure, uri))
    return EXIT_INTERRUPTED if end.interrupted else 0


def _ledger(command: Command, directory: RunDirectory) -> "Ledger":
    from nas.ledger import Ledger, ledger_url

    if command.resume:
        return Ledger.open(ledger_url(directory.ledger), command.name)
    if directory.ledger.exists():
        raise UserError(f"a search named {command.name!r} exists already: resume it with --resume {command.name}.")
    directory.path.mkdir(parents=True, exist_ok=True)
    header = {**command.header(), "code_revision": _code_revision()}
    return Ledger.create(ledger_url(directory.ledger), command.name, header)


def _tracking_uri(command: Command, directory: RunDirectory) -> str:
    return command.tracking.uri or f"sqlite:///{directory.runs / 'mlflow.db'}"


def _tracker(command: Command, directory: RunDirectory, ledger: "Ledger", uri: str) -> "Tracker":
    from nas.tracking import Tracker

    artifacts = directory.runs / "mlflow-artifacts" if command.tracking.uri is None else None
    tracker = Tracker(uri, artifacts, command.tracking.experiment, command.name, ledger.search_id)
    header = ledger.header
    params = {
        f"{section}.{key}": value
        for section in ("data", "training", "search", "space")
        for key, value in header[section].items()
    }
    tracker.describe(params, {"nas.code_revision": header["code_revision"], "nas.directory": str(directory.path)})
    return tracker


def _code_revision() -> str:
    """The commit of this checkout, "+" when it has changes; "unknown" where there is no git."""
    project = Path(__file__).resolve().parent.parent
    try:
        described = subprocess.run(
            ["git", "-C", str(project), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"],
            capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return described.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
