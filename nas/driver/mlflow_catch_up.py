"""Bringing MLflow up to what lies on disk: a search's ledger, the full trainings of its trials, detectors on them."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from nas.driver.commands import report_command
from nas.driver.conclusion import mlflow_lines
from nas.driver.lock import driver_lock
from nas.ledger.contents import LedgerContents
from nas.settings.run_directory import RunDirectory
from nas.settings.store_settings import TrackingSettings
from nas.tracking.environment import quiet_mlflow
from nas.tracking.store import bring_up_to_date
from nas.tracking.store_address import store_uri
from nas.tracking.writer_thread import reason_of
from search_spaces.errors import UserError
from search_spaces.units import counted
from trainers.bundle.provenance import Provenance
from trainers.bundle.trained import Trained, read_trained
from trainers.data.fingerprint import summary_differences
from trainers.detection.trained import TrainedDetector, holds_detector, read_trained_detector
from trainers.full.plan import RESULT

logger = logging.getLogger(__name__)

# The settings of a data set that say which of its images are those of validation.
_SPLIT = ("split_seed", "validation_fraction")


def catch_up(
    directory: RunDirectory,
    ledger: LedgerContents,
    tracking: TrackingSettings,
    files: Sequence[Path],
    trained: Sequence[Trained | TrainedDetector],
) -> tuple[bool, list[str]]:
    """Writes what MLflow lacks, with `files` as the search's artifacts. Whether it went well, and what to say of it."""
    quiet_mlflow()
    uri, facts = store_uri(tracking, directory), ledger.header.facts(directory.name, ledger.most_latency_ms)
    tracker, failure = None, None
    with ExitStack() as held:
        try:
            held.enter_context(driver_lock(directory))
        except UserError:
            return True, ["MLflow   is being written by the search itself, which runs"]
        try:
            tracker = bring_up_to_date(tracking, directory, ledger, facts, files, trained)
        except Exception as error:  # Each store has errors of its own.
            failure = reason_of(error, uri)
    return failure is None, mlflow_lines(tracker, failure, uri, report_command(directory))


def trainings_of(
    directory: RunDirectory, ledger: LedgerContents, others: Sequence[str]
) -> list[Trained | TrainedDetector]:
    """The full trainings in the search's own directory that have ended, and those that are named, detectors among them.

    One of its own that cannot be read is passed over with a warning, and one that is named is warned of where it was
    done on other images than the search. Raises UserError where one that is named cannot be read, or is none of this
    search.
    """
    found: list[Trained | TrainedDetector] = []
    for result in sorted(directory.full_trainings.glob(f"*/{RESULT}")):
        try:
            found.append(_of_search(result.parent, ledger))
        except UserError as error:
            logger.warning("%s It is left out.", error)
    named = [_of_search(Path(name), ledger) for name in others]
    for trained in named:
        # A detector is trained on other images always.
        if isinstance(trained, Trained) and (differing := _other_images(trained, ledger)):
            logger.warning(
                "%r was trained on other images than the search: %s. What it reached is not to be held against the "
                "accuracies of the trials.",
                trained.directory,
                differing,
            )
    return [*found, *named]


def _other_images(trained: Trained, ledger: LedgerContents) -> str | None:
    """What a full training and its search were done on, where that differs; other sizes of the images do not."""
    on, searched = trained.bundle.data_summary, ledger.header.data_summary
    if (on.name, on.classes) != (searched.name, searched.classes):
        classes = counted(on.classes, "class", "classes")
        return f"{on.name} of {classes}, the search on {searched.name} of {searched.classes}"
    before, after = ledger.header.data_fingerprint, trained.bundle.data_fingerprint
    if before is not None and after is not None and before != after:
        return "; ".join(summary_differences(before, after)) or "their order differs"
    differing = [
        f"{name} is {own}, in the search {its}"
        for name in _SPLIT
        if (own := getattr(trained.bundle.data, name)) != (its := getattr(ledger.header.data, name))
    ]
    return "; ".join(differing) or None


def _of_search(path: Path, ledger: LedgerContents) -> Trained | TrainedDetector:
    trained: Trained | TrainedDetector
    if holds_detector(path):
        trained = read_trained_detector(path)
        what, provenance = "a detector on", trained.provenance
    else:
        trained = read_trained(path)
        what, provenance = "the full training of", trained.bundle.provenance
    if not isinstance(provenance, Provenance) or provenance.search_id != ledger.search_id:
        raise UserError(f"{str(path)!r} is {what} {trained.origin}: expected one of a trial of this search.")
    return trained
