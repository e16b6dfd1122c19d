"""The MLflow store of a search: what the search's run says from the start, and bringing it up to date."""

import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from nas.ledger.contents import LedgerContents
from nas.records.search_facts import SearchFacts
from nas.records.summary import Summary, summarise
from nas.records.trial import latest_moment
from nas.settings.run_directory import RunDirectory, runs_flag
from nas.settings.sqlite_addresses import sqlite_path
from nas.settings.store_settings import TrackingSettings
from nas.strategy.halving import rung_epochs
from nas.tracking.moved_store import ARTIFACTS, bring_artifacts_home
from nas.tracking.store_address import store_uri
from nas.tracking.tracker import Tracker
from nas.tracking.trained_runs import log_trained
from search_spaces.pasted_commands import python_command
from search_spaces.units import counted
from trainers.bundle.trained import Trained
from trainers.detection.trained import TrainedDetector


def described_tracker(
    tracking: TrackingSettings, directory: RunDirectory, ledger: LedgerContents, clock: Callable[[], float]
) -> Tracker:
    """A tracker of the search, with what the search was started with written. Raises where MLflow cannot be written."""
    header = ledger.header
    search = header.search
    uri = store_uri(tracking, directory)
    store = sqlite_path(uri)
    if store is not None:
        bring_artifacts_home(store)
    own = [record for record in ledger.records if record.imported_from is None]
    tracker = Tracker(
        uri,
        None if store is None else store.parent / ARTIFACTS,
        tracking.experiment,
        directory.name,
        ledger.search_id,
        rung_epochs(search.minimum_epochs, header.training.epochs, search.reduction_factor),
        clock=clock,
        cost_names=search.cost_names,
        errors=directory.errors,
        export=functools.partial(_export_command, directory),
        started_at=min((record.started_at for record in own if record.started_at is not None), default=None),
    )
    tags = {"nas.code_revision": header.code_revision, "nas.directory": str(directory.path)}
    tracker.describe(header.settings(), tags)
    return tracker


def _export_command(directory: RunDirectory, number: int) -> str:
    return python_command("nas/export.py", directory.name, "--pick", f"trial={number}", *runs_flag(directory))


def note(tracker: Tracker, data: str, summary: Summary) -> str:
    """What the MLflow UI shows as the description of a search on the data set `data`."""
    return (
        f"{tracker.links} · front of {len(summary.front)}, hypervolume {summary.hypervolume:.4f}, "
        f"{counted(summary.architectures_trained, 'architecture')} trained on {data}."
    )


def bring_up_to_date(
    tracking: TrackingSettings,
    directory: RunDirectory,
    ledger: LedgerContents,
    facts: SearchFacts,
    files: Sequence[Path],
    trained: Sequence[Trained | TrainedDetector] = (),
) -> Tracker:
    """Writes what MLflow lacks of a search that nobody runs, with `files` as its artifacts, and of full trainings of
    its trials and detectors on them. The tracker that did.

    Raises where MLflow cannot be written; what was written stays, and is not written again.
    """
    last = latest_moment(ledger.records) or time.time()
    tracker = described_tracker(tracking, directory, ledger, lambda: last)
    summary = summarise(ledger.records, facts.reference, facts.cost_names, facts.data.validation_images)
    tracker.sync(ledger.records, summary)
    tracker.log_files(files)
    log_trained(store_uri(tracking, directory), tracker, ledger.search_id, trained)
    # A search may have ended, as by its time budget, with trials that a resumption would go on with.
    unfinished = any(record.outcome in ("running", "held") for record in ledger.records)
    tracker.finish(note(tracker, facts.data.name, summary), unfinished and tracker.status != "FINISHED")
    return tracker
