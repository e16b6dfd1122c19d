"""Searches architectures for accuracy against FLOPs or latency.

python nas/search.py --space resnet_stages [--help]
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from nas.driver.command_line import read_command
from nas.driver.interruption import Interruption
from nas.driver.lock import check_free, driver_lock
from nas.driver.open_ledger import check_ledger, search_ledger
from nas.driver.storage_check import check_space
from nas.settings.addresses import redacted
from nas.settings.command import Command
from nas.settings.run_directory import RunDirectory, check_writable, run_directory
from nas.settings.search_settings import SearchSettings
from nas.workers.ray_environment import set_ray_environment
from nas.workers.storage_full import is_full
from search_spaces.errors import UserError
from search_spaces.exit_codes import FAILURE, INTERRUPTED, MISTAKE, SUCCESS
from trainers.data.config import DataSummary
from trainers.data.datasets import check_data

# The other imports take seconds (Ray, MLflow); a mistake on the command line is reported before them.
if TYPE_CHECKING:
    from nas.engine.engine import Engine
    from nas.engine.policy import AccuracyRule
    from nas.ledger.ledger import Ledger
    from nas.records.summary import Summary
    from nas.records.trial import TrialRecord
    from nas.tracking.tracker import Tracker


def main(arguments: Sequence[str]) -> int:
    """Runs a command line.

    The exit code: 0, 1 where the storage is full or the ledger gone, 2 on a user's mistake, 130 after Ctrl-C, 143 after
    SIGTERM.
    """
    console = Console(highlight=False)
    try:
        command = read_command(arguments)
        directory = run_directory(command.runs_dir, command.name)
        check_writable(directory)
        if not command.plan:
            check_free(directory)
        data = check_data(command.data)
        check_ledger(command, directory, data)
        if command.plan:
            from nas.driver.plan import print_plan

            print_plan(console, command.space, data, command.search, command.training.epochs)
            return SUCCESS
        check_space(directory, command.space, data, command.training, command.search)
        set_ray_environment(command.cluster)
        with Interruption() as interrupted, driver_lock(directory):
            search(console, command, directory, data, interrupted)
            return interrupted.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED  # Before there is anything to keep.
    except UserError as error:
        print(f"error: {redacted(str(error))}", file=sys.stderr)
        return MISTAKE
    except Exception as error:
        from nas.ledger.database import loss_of_ledger

        if is_full(error):
            trouble = f"the storage {str(directory.path)!r} is full: make space there, then"
        elif (said := loss_of_ledger(error)) is not None:
            trouble = f"the ledger of search {directory.name!r} cannot be written: {said}. Once it is back,"
        else:
            raise
        print(f"error: {redacted(trouble)} {_way_on(directory)}", file=sys.stderr)
        return FAILURE


def search(
    console: Console, command: Command, directory: RunDirectory, data: DataSummary, interrupted: Interruption
) -> None:
    """One search, from the first proposal to the report; an orderly end where it is interrupted. Raises UserError."""
    from nas.driver.commands import report_command, resume_command
    from nas.driver.conclusion import mlflow_lines, print_conclusion
    from nas.driver.plan import check_reachable
    from nas.driver.progress import ProgressView
    from nas.driver.result_files import SearchEnd, drop_checkpoints, write_results
    from nas.ledger.forking import beyond_imports
    from nas.records.search_facts import SearchFacts
    from nas.records.summary import summarise
    from nas.reporting.write import write_report
    from nas.strategy.proposals import slow_architectures
    from nas.tracking.environment import quiet_mlflow
    from nas.tracking.store import described_tracker, note, store_uri
    from nas.tracking.writer_thread import TrackerThread
    from nas.workers.front_measurement import measure_front, measure_yardstick
    from nas.workers.ray_cluster import ray_cluster, watched_ray
    from nas.workers.trial_config import TrialTemplate
    from nas.workers.tuner import run_trials

    started = time.monotonic()
    check_reachable(command.space, data, command.search.max_flops)
    budget = command.search.time_budget_seconds
    batch = command.search.inference_batch
    quiet_mlflow()
    console.print(
        f"search {command.name}: up to {command.search.trials} architectures of {command.space.name} on {data.name}"
    )
    with ray_cluster(command.cluster) as slots, watched_ray(command.cluster, interrupted.end_now):
        interrupted.claim()
        ledger = search_ledger(command, directory, data, slots)
        interrupted.last_words = f"\nnext\n  {resume_command(directory)}\n"
        template = TrialTemplate(
            data=command.data,
            data_summary=data,
            training=command.training,
            directory=directory,
            device="cuda" if command.cluster.gpus_per_trial else "cpu",
            threads=max(1, int(command.cluster.cpus_per_trial)),
        )
        if command.search.cost_name == "latency_ms":
            slow = slow_architectures(command.space, data, command.search.max_flops, command.search.seed)
            measure_yardstick(ledger, slow, template, command.cluster, batch, interrupted.is_set)
        settings = beyond_imports(command.search, ledger.records)
        engine = _engine(ledger, command, data, settings)
        cost_name = command.search.cost_name
        facts = SearchFacts(command.name, data, command.training.epochs, engine.reference, cost_name)

        def summary() -> "Summary":
            return summarise(engine.records, engine.reference, cost_name)

        def state() -> "tuple[Sequence[TrialRecord], Summary]":
            return engine.records, summary()

        def report() -> list[Path]:
            return write_report(directory.report, facts, engine.records)

        trials_started = time.monotonic()

        def should_stop() -> bool:
            return interrupted.is_set() or (budget is not None and time.monotonic() - trials_started > budget)

        def tracker() -> "Tracker":
            connected = described_tracker(command.tracking, directory, ledger, ledger.clock)
            connected.reopen()
            return connected

        ledger.record_tracking(command.tracking.without_secrets())
        uri = store_uri(command.tracking, directory)
        with TrackerThread(tracker, state, report, uri) as tracking:
            with ProgressView(console, summary, command.search.trials, budget):
                run_trials(engine, template, command.cluster, slots, should_stop, interrupted.is_set)
            if not should_stop():
                engine.conclude()
            search_seconds = time.monotonic() - trials_started
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
    drop_checkpoints(directory, engine.records, result, command.search.keep_checkpoints)
    failure = tracking.finish(paths, lambda tracker: note(tracker, data.name, result), end.interrupted)
    seen_at = mlflow_lines(tracking.tracker, failure, uri, report_command(directory))
    print_conclusion(console, directory, end, result, seen_at)


def _engine(ledger: "Ledger", command: Command, data: DataSummary, settings: SearchSettings) -> "Engine":
    from nas.engine.deterministic import DeterministicEngine
    from nas.engine.engine import Engine

    rule = _accuracy_rule(settings, command.training.epochs)
    if not settings.deterministic:
        return Engine(ledger, command.space, data, settings, command.training.epochs, rule)
    slots = ledger.header.slots
    return DeterministicEngine(ledger, command.space, data, settings, command.training.epochs, rule, slots=slots)


def _accuracy_rule(search: SearchSettings, epochs: int) -> "AccuracyRule | None":
    if search.scheduler != "asha":
        return None
    from nas.workers.asha import AccuracyHalving

    return AccuracyHalving(
        minimum_epochs=search.minimum_epochs, epochs=epochs, reduction_factor=search.reduction_factor
    ).trains_on


def _way_on(directory: RunDirectory) -> str:
    """What to do once the obstacle is gone."""
    from nas.driver.commands import resume_command

    if not directory.has_ledger:
        return "start the search again."
    return f"go on with it: {resume_command(directory)}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
