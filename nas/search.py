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

from nas.driver_lock import check_free, driver_lock
from nas.interruption import Interruption
from nas.ray_environment import set_ray_environment
from nas.redaction import redacted
from nas.run_directory import RunDirectory, check_writable, run_directory
from nas.search_settings import SearchSettings
from nas.settings import Command, read_command
from search_spaces.errors import UserError
from trainers.data import DataSummary, check_data

# The other imports take seconds (Ray, MLflow); a mistake on the command line is reported before them.
if TYPE_CHECKING:
    from nas.engine import AccuracyRule
    from nas.ledger import Ledger
    from nas.records import TrialRecord
    from nas.summary import Summary
    from nas.tracking import Tracker

EXIT_MISTAKE = 2
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Runs a command line. The exit code: 0, 2 on a user's mistake, 130 after Ctrl-C, 143 after SIGTERM."""
    console = Console(highlight=False)
    try:
        command = read_command(arguments)
        directory = run_directory(command.runs_dir, command.name)
        check_writable(directory)
        if not command.plan:
            check_free(directory)
        data = check_data(command.data)
        if command.plan:
            from nas.plan import print_plan

            print_plan(console, command.space, data, command.search, command.training.epochs)
            return 0
        set_ray_environment(command.cluster)
        with Interruption() as interrupted, driver_lock(directory):
            search(console, command, directory, data, interrupted)
            return interrupted.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED  # Before there is anything to keep.
    except UserError as error:
        print(f"error: {redacted(str(error))}", file=sys.stderr)
        return EXIT_MISTAKE


def search(
    console: Console, command: Command, directory: RunDirectory, data: DataSummary, interrupted: Interruption
) -> None:
    """One search, from the first proposal to the report; an orderly end where it is interrupted. Raises UserError."""
    from nas.conclusion import (
        SearchEnd,
        drop_checkpoints,
        mlflow_lines,
        note,
        print_conclusion,
        resume_command,
        write_results,
    )
    from nas.engine import Engine
    from nas.inference_measurement import measure_front
    from nas.plan import check_reachable
    from nas.progress import ProgressView
    from nas.ray_watch import watched_ray
    from nas.reference import reference_point
    from nas.report_files import write_report
    from nas.search_facts import SearchFacts
    from nas.searcher import TrialTemplate
    from nas.summary import summarise
    from nas.tracking import quiet_mlflow
    from nas.tracking_thread import TrackerThread
    from nas.tuner import ray_cluster, run_trials

    started = time.monotonic()
    check_reachable(command.space, data, command.search.max_flops)
    reference = reference_point(command.space, data, command.search.min_accuracy, command.search.max_flops)
    facts = SearchFacts(command.name, data, command.training.epochs, reference)
    budget = command.search.time_budget_seconds
    quiet_mlflow()
    console.print(
        f"search {command.name}: up to {command.search.trials} architectures of {command.space.name} on {data.name}"
    )
    with ray_cluster(command.cluster) as slots, watched_ray(command.cluster, interrupted.end_now):
        interrupted.claim()
        ledger = _ledger(command, directory, data)
        interrupted.last_words = f"\nnext\n  {resume_command(directory)}\n"
        rule = _accuracy_rule(command.search, command.training.epochs)
        engine = Engine(ledger, command.space, data, command.search, command.training.epochs, rule)
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

        def report() -> list[Path]:
            return write_report(directory.report, facts, engine.records)

        trials_started = time.monotonic()

        def should_stop() -> bool:
            return interrupted.is_set() or (budget is not None and time.monotonic() - trials_started > budget)

        uri = _tracking_uri(command, directory)
        with TrackerThread(lambda: _tracker(command, directory, ledger, uri), state, report, uri) as tracking:
            with ProgressView(console, summary, command.search.trials, budget):
                run_trials(engine, template, command.cluster, slots, should_stop, interrupted.is_set)
            if not should_stop():
                engine.conclude()
            search_seconds = time.monotonic() - trials_started
            batch = command.search.inference_batch
            measure_front(ledger, template, command.cluster, batch, interrupted.is_set, console.print)
    end = SearchEnd(
        name=command.name,
        search_id=ledger.search_id,
        data=data.name,
        interrupted=interrupted.is_set(),
        search_seconds=search_seconds,
        seconds=time.monotonic() - started,
    )
    result = summary()
    paths = write_results(directory, facts, end, engine.records, result)
    drop_checkpoints(directory, engine.records, result)
    tracking.finish(paths, lambda tracker: note(tracker, end, result), end.interrupted)
    seen_at = mlflow_lines(tracking.tracker, tracking.failure, uri, resume_command(directory))
    print_conclusion(console, directory, end, result, seen_at)


def _ledger(command: Command, directory: RunDirectory, data: DataSummary) -> "Ledger":
    from nas.ledger import Ledger, ledger_url

    if command.resume:
        ledger = Ledger.open(ledger_url(directory.ledger), command.name)
        ledger.drop_cut_off_proposals()
        return ledger
    if directory.ledger.exists():
        raise UserError(f"a search named {command.name!r} exists already: resume it with --resume {command.name}.")
    directory.path.mkdir(parents=True, exist_ok=True)
    header = {**command.header(), "data_summary": data.to_json(), "code_revision": _code_revision()}
    return Ledger.create(ledger_url(directory.ledger), command.name, header)


def _accuracy_rule(search: SearchSettings, epochs: int) -> "AccuracyRule | None":
    if search.scheduler != "asha":
        return None
    from nas.asha import AccuracyHalving

    return AccuracyHalving(
        minimum_epochs=search.minimum_epochs, epochs=epochs, reduction_factor=search.reduction_factor
    ).trains_on


def _tracking_uri(command: Command, directory: RunDirectory) -> str:
    return command.tracking.uri or f"sqlite:///{directory.runs / 'mlflow.db'}"


def _tracker(command: Command, directory: RunDirectory, ledger: "Ledger", uri: str) -> "Tracker":
    from nas.rungs import rung_epochs
    from nas.tracking import Tracker

    artifacts = directory.runs / "mlflow-artifacts" if command.tracking.uri is None else None
    search = command.search
    rungs = rung_epochs(search.minimum_epochs, command.training.epochs, search.reduction_factor)
    tracker = Tracker(uri, artifacts, command.tracking.experiment, command.name, ledger.search_id, rungs)
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
