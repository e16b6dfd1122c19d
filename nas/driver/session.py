"""One search, from its first proposal to its report."""

import contextlib
import functools
import os
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from rich.console import Console

from nas.driver.commands import cluster_flags, report_command, resume_command, status_lines
from nas.driver.conclusion import mlflow_lines, print_conclusion
from nas.driver.endings import Ending, by_limit, by_signal, by_time
from nas.driver.findings_table import print_findings
from nas.driver.front_table import uncounted_lines
from nas.driver.interruption import Interruption
from nas.driver.limits_in_force import LimitsInForce
from nas.driver.lock import leave_unbegun
from nas.driver.open_ledger import search_ledger
from nas.driver.progress import ProgressView
from nas.driver.requests import LIMITS, Requests
from nas.driver.result_files import SearchEnd, drop_checkpoints, without_checkpoints, write_results
from nas.driver.search_view import SearchView
from nas.driver.steps import said, step
from nas.driver.stop_rule import StopRule
from nas.driver.storage_claim import claim_storage
from nas.driver.stored_files import store_files
from nas.driver.sudden_end import said_at_sudden_end
from nas.driver.texts import print_pasted, print_text
from nas.driver.time_left import search_plan
from nas.engine.engine import Engine
from nas.engine.policy import AccuracyRule
from nas.engine.start import start_engine
from nas.ledger.forking import beyond_imports
from nas.ledger.ledger import Ledger
from nas.ledger.location import sole_driver
from nas.records.search_facts import SearchFacts
from nas.settings.cluster_settings import ClusterSettings
from nas.settings.command import Command
from nas.settings.run_directory import RunDirectory
from nas.settings.search_settings import SearchSettings
from nas.strategy.proposals import slow_architectures
from nas.tracking.environment import quiet_mlflow
from nas.tracking.store import described_tracker, note
from nas.tracking.store_address import store_uri
from nas.tracking.tracker import Tracker
from nas.tracking.writer_thread import TrackerThread
from nas.workers.asha import AccuracyHalving
from nas.workers.checked_nodes import checked_nodes
from nas.workers.front_measurement import measure_front, measure_latency_reference
from nas.workers.latency_devices import of_one_type
from nas.workers.ray_cluster import RayCluster, ray_cluster
from nas.workers.ray_watch import watched_ray
from nas.workers.trial_config import TrialTemplate
from nas.workers.tuner import run_trials
from search_spaces.units import counted
from trainers.data.config import DataSummary
from trainers.data.datasets import ExaminedData
from trainers.data.file_index import keep_index
from trainers.data.findings import DataFindings
from trainers.folders import delete_probes
from trainers.schedule import unfinished_warmup

# What is said where a search is ended while it starts.
_NEVER_BEGAN = "\nended before it began: nothing was written; start it again with the same command\n"
_WENT_NOT_ON = "\nended before it went on: nothing has changed; start it again with the same command\n"
_ENDED_AT_ONCE = """
ended at once: the ledger and the checkpoints are whole; what else was not written yet is written when the search
goes on and ends, the report also by nas/report.py
"""

# Said by another process, where this one cannot any more.
_DIED = "error: the driver of search {} has died, killed or ended by Ray; what is finished is kept. Go on with it: {}\n"


def run_search(console: Console, command: Command, directory: RunDirectory, data: ExaminedData) -> int:
    """Runs a search that was checked (`nas.driver.checks`); an orderly end where it is interrupted. The exit code.

    Only for whoever holds its lock. Raises UserError.
    """
    with Interruption() as interrupted, ExitStack() as at_end:
        interrupted.last_deed = functools.partial(leave_unbegun, directory)
        interrupted.last_words = _WENT_NOT_ON if command.resume else _NEVER_BEGAN
        _announce(console, command, data.summary, data.findings)
        _search(console, command, directory, data, interrupted, at_end)
        return interrupted.exit_code


def _search(
    console: Console,
    command: Command,
    directory: RunDirectory,
    examined: ExaminedData,
    interrupted: Interruption,
    at_end: ExitStack,
) -> None:
    started = time.monotonic()
    quiet_mlflow()
    with _ray(console, command.cluster) as joined, watched_ray(command.cluster, interrupted.end_now):
        interrupted.claim()
        if (dashboard := joined.dashboard) is not None:
            said_of_it = (
                f"Ray's dashboard: {dashboard.url} asks for the token in {dashboard.token_file}, while this runs"
            )
            print_text(console, said_of_it)
        data = examined.summary
        on_latency = command.search.on_latency
        # Of a search that goes on the ledger knows the type.
        cluster = of_one_type(command.cluster, None) if on_latency and not command.resume else command.cluster
        template = _trial_template(command, directory, data, examined.fingerprint.digest)
        if examined.index is not None and not command.resume:
            keep_index(directory.data_index, examined.index)
        # Before there is a ledger: what a start is refused for can be mended, and the name is still free.
        with step(console, "checking the nodes of the cluster"):
            checked = checked_nodes(cluster, template)
        with step(console, "opening the ledger"):
            claim = at_end.enter_context(sole_driver(directory, command.ledger.url))
            # Not before: a driver elsewhere that has the search may be checking nodes.
            with contextlib.suppress(OSError):
                delete_probes(directory.kept)
            ledger = search_ledger(command, directory, examined, joined.slots)
            directory.make_place_of_checkpoints()
            if examined.index is not None:
                # Of images that were mended since, not before the ledger knows them: a start that is refused changes
                # nothing, and what they were is known from the index alone.
                keep_index(directory.data_index, examined.index)
                store_files(directory, [directory.data_index])
        if on_latency:
            known = ledger.latency_reference
            cluster = of_one_type(cluster, None if known is None else known.accelerator)
        for earlier in ledger.header.earlier:
            informed = f"proposals are informed by {counted(len(earlier.results), 'result')} of {earlier.name}"
            print_text(console, f"{informed}, for as long as they foretell its own")
        if command.cluster.address is not None:
            for line in status_lines(directory):
                print_pasted(console, line)
        claim_storage(directory, ledger)
        ledger.record_driver(socket.gethostname(), os.getpid(), cluster_flags(command.cluster))
        if claim is not None:
            ledger.outlast_outages(claim)
        limits_now = {name: getattr(command.search, name) for name in LIMITS}
        if command.resume and limits_now != {name: getattr(ledger.header.search, name) for name in LIMITS}:
            # The commands that go on from here name none.
            ledger.record_limits(limits_now)
        at_end.callback(ledger.record_end_of_driver)
        resume = functools.partial(resume_command, directory, command.cluster)
        interrupted.last_words = f"{_ENDED_AT_ONCE}\nnext\n  {resume()}\n"
        at_end.enter_context(said_at_sudden_end(_DIED.format(command.name, resume())))
        with step(console, "measuring the latency that others are compared with"):
            _measure_latency_reference(ledger, command, cluster, template, interrupted)
        with step(console, "taking up the trials of the ledger"):
            engine = _engine(ledger, command, data, directory)
        at_end.callback(engine.close)
        view = SearchView(engine, _facts(command, data, engine), directory)
        epochs_before = _epochs(engine)
        should_stop = StopRule(interrupted.is_set, command.search.time_budget_seconds)
        writer = _writer_of_mlflow(command, directory, ledger, view)
        with said(console, writer, "starting to write to MLflow", "waiting for MLflow") as mlflow:
            plan_of = functools.partial(
                search_plan, full_epochs=engine.epochs, space=command.space, data=data, slots=joined.slots
            )
            with ProgressView(console, view.state, plan_of(engine.settings)) as progress:
                limits = LimitsInForce(command.search, engine, should_stop, progress, plan_of, interrupted.end, resume)
                requests = Requests(directory, limits.obey, limits.refuse)
                at_end.callback(requests.close)
                run = functools.partial(run_trials, engine, template, cluster, checked, autoscaler=joined.autoscaler)
                _run_trials(run, should_stop, requests, ledger, interrupted)
            ending = _ending(should_stop, engine, limits.settings, epochs_before)
            if not should_stop():
                engine.conclude()
            search_seconds = should_stop.seconds
            with step(console, "measuring the front"):
                say = functools.partial(print_text, console)
                batch = command.search.inference_batch
                measure_front(ledger, template, cluster, batch, interrupted.is_set, say)
    end = SearchEnd(
        name=command.name,
        search_id=ledger.search_id,
        data=data.name,
        interrupted=interrupted.is_set(),
        ending=ending if interrupted.ended_by is None else by_signal(interrupted.ended_by),
        search_seconds=search_seconds,
        seconds=time.monotonic() - started,
        nodes_left_out=ledger.nodes_left_out,
        has_gone_on=command.resume,
    )
    _conclude(console, command, directory, view, end, mlflow)


def _run_trials(
    run: Callable[..., None], should_stop: StopRule, requests: Requests, ledger: Ledger, interrupted: Interruption
) -> None:
    """Runs trials until there are none left within the limits, which `requests` may change in the meantime."""

    def looks_and_stops() -> bool:
        requests.look()
        ledger.keep_claim()
        if should_stop():
            requests.refuse()
        return should_stop()

    while True:
        obeyed = requests.obeyed
        run(should_stop=looks_and_stops, interrupted=interrupted.is_set)
        # Ray Tune asks no more once it has heard that there is nothing left, whatever is asked for after that.
        if should_stop() or requests.obeyed == obeyed:
            requests.refuse()
            return


def _ending(should_stop: StopRule, engine: Engine, limits: SearchSettings, epochs_before: int) -> Ending:
    """What has ended the trials, which no signal did."""
    if should_stop.is_time_over and limits.time_budget is not None:
        return by_time(limits.time_budget, has_trained=_epochs(engine) > epochs_before)
    return by_limit(engine.limit_reached, limits)


def _epochs(engine: Engine) -> int:
    return sum(len(record.epochs) for record in engine.records)


def _ray(console: Console, cluster: ClusterSettings) -> AbstractContextManager[RayCluster]:
    """The Ray of a search, its start and its end said where they take long."""
    start = "starting Ray on this machine" if cluster.address is None else f"joining the Ray cluster {cluster.address}"
    return said(console, ray_cluster(cluster), start, "ending Ray")


def _announce(console: Console, command: Command, data: DataSummary, findings: DataFindings | None) -> None:
    print_text(
        console,
        f"search {command.name}: up to {counted(command.search.trials, 'architecture')} of {command.space.name} on "
        f"{data.name}",
    )
    processes = command.cluster.processes
    if processes > 1:
        on = ", each on a GPU," if command.cluster.gpus_per_trial else ""
        print_text(console, f"{processes} processes{on} train a trial together")
    for line in unfinished_warmup(command.training):
        print_text(console, f"warning: {line}")
    print_findings(console, findings)


def _trial_template(command: Command, directory: RunDirectory, data: DataSummary, data_digest: str) -> TrialTemplate:
    return TrialTemplate(
        data=command.data,
        data_summary=data,
        data_digest=data_digest,
        training=command.training,
        directory=directory,
        device="cuda" if command.cluster.gpus_per_trial else "cpu",
        threads=command.cluster.process_threads,
        checkpoint_seconds=60 * command.search.checkpoint_minutes,
        processes=command.cluster.processes,
        gpu_memory_share=command.cluster.gpu_memory_share,
    )


def _measure_latency_reference(
    ledger: Ledger, command: Command, cluster: ClusterSettings, template: TrialTemplate, interrupted: Interruption
) -> None:
    """Measures what latencies are compared with, where the search is on latency and has not done so yet."""
    search = command.search
    if search.on_latency:
        slow = slow_architectures(command.space, template.data_summary, search.limits, search.seed)
        measure_latency_reference(ledger, slow, template, cluster, search.inference_batch, interrupted.is_set)


def _engine(ledger: Ledger, command: Command, data: DataSummary, directory: RunDirectory) -> Engine:
    settings = beyond_imports(command.search, ledger.records)
    epochs = command.training.epochs
    gone = without_checkpoints(directory, ledger.records) if settings.inherit else ()
    return start_engine(ledger, command.space, data, settings, epochs, _accuracy_rule(settings, epochs), gone)


def _accuracy_rule(search: SearchSettings, epochs: int) -> AccuracyRule | None:
    if search.scheduler != "asha":
        return None
    return AccuracyHalving(
        minimum_epochs=search.minimum_epochs, epochs=epochs, reduction_factor=search.reduction_factor
    ).should_continue


def _facts(command: Command, data: DataSummary, engine: Engine) -> SearchFacts:
    return SearchFacts(command.name, data, command.training.epochs, engine.reference, command.search.cost_names)


def _writer_of_mlflow(command: Command, directory: RunDirectory, ledger: Ledger, view: SearchView) -> TrackerThread:
    ledger.record_tracking(command.tracking.without_secrets())
    connect = functools.partial(_connected_tracker, command, directory, ledger)
    return TrackerThread(connect, view.state, view.write_report, store_uri(command.tracking, directory))


def _connected_tracker(command: Command, directory: RunDirectory, ledger: Ledger) -> Tracker:
    tracker = described_tracker(command.tracking, directory, ledger, ledger.clock)
    tracker.reopen()
    return tracker


def _conclude(
    console: Console,
    command: Command,
    directory: RunDirectory,
    view: SearchView,
    end: SearchEnd,
    mlflow: TrackerThread,
) -> None:
    """Writes what the search came to, and says where to look and what to type next."""
    records, summary = view.state()
    with step(console, "writing the report and the results"):
        paths = write_results(view, end, summary)
        store_files(directory, [*paths, *directory.errors.glob("*")])
        drop_checkpoints(directory, tuple(records), summary, command.search.keep_checkpoints)
    with step(console, "writing the end of the search to MLflow"):
        failure = mlflow.finish(paths, lambda tracker: note(tracker, end.data, summary), end.interrupted)
    uri = store_uri(command.tracking, directory)
    seen_at = mlflow_lines(mlflow.tracker, failure, uri, report_command(directory))
    further = end.ending.further
    following = None if further is None else resume_command(directory, command.cluster, further)
    uncounted = uncounted_lines(summary.front, command.search)
    print_conclusion(console, directory, end, summary, seen_at, following, uncounted)
