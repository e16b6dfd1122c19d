"""What is checked before a search starts, and before what it runs on is loaded: a mistake is said at once."""

import random
from pathlib import Path

from nas.driver.earlier_searches import earlier_searches
from nas.driver.local_machine import check_local_machine
from nas.driver.lock import check_free
from nas.driver.storage_check import check_space
from nas.ledger.location import check_database, read_ledger
from nas.records.cost_limits import CostLimits
from nas.settings.address_checks import check_driver, with_driver
from nas.settings.changes import check_same_images
from nas.settings.command import Command
from nas.settings.run_directory import (
    CHECKPOINTS,
    RunDirectory,
    check_ledger_is_not_lost,
    name_is_taken,
    run_directory,
)
from nas.strategy.candidates import SpaceCandidates
from nas.workers.trial_layout import trial_layout
from search_spaces.errors import UserError
from search_spaces.space import Space
from search_spaces.space_cost import flops_range, params_range
from trainers.data.config import DataSummary
from trainers.data.data_changes import data_changes, undoing
from trainers.data.datasets import ExaminedData, examine_data
from trainers.data.fingerprint import BRING_BACK
from trainers.storage.check import check_storage

# So many architectures are drawn before there is taken to be none within two limits.
ATTEMPTS = 500


def kept_index(command: Command, directory: RunDirectory) -> Path | None:
    """Where the index of the images is that the search had, with whose results a command begins; None of a new one."""
    if command.fork_of is not None:
        return run_directory(command.runs_dir, command.fork_of).data_index
    return directory.data_index if command.resume else None


def check_search(command: Command, directory: RunDirectory) -> ExaminedData:
    """What is there of the data. Raises UserError where the search that was asked for could not begin or go on."""
    earlier_searches(command)
    check_epochs(command)
    # Before the images, which may take minutes.
    check_database(directory, command.ledger.url)
    data = examine_data(command.data, kept_index(command, directory))
    check_ledger(command, directory, data)
    if directory.storage is not None:
        check_storage(directory.storage, None if command.resume else directory.name)
        if command.resume:
            # It loads Optuna and SQLAlchemy, which a plan does without.
            from nas.driver.storage_claim import check_claim

            check_claim(directory, read_ledger(directory, command.ledger.url))
    check_reachable(command.space, data.summary, command.search.limits)
    check_space(directory, command.space, data.summary, command.training, command.search)
    return data


def check_epochs(command: Command) -> None:
    """Raises UserError where a new search may train less than one architecture, so that it would end at once."""
    most, epochs = command.search.epochs, command.training.epochs
    if not command.resume and most is not None and most < epochs:
        raise UserError(
            f"search.epochs is {most}: expected at least {epochs}, for which one architecture is trained; "
            "training.epochs are those of one, and search.epochs those of all."
        )


def check_ledger(command: Command, directory: RunDirectory, data: ExaminedData | None) -> None:
    """Raises UserError where a command has no ledger to work on: before anything is started, and changing nothing.

    That is where no trial can run on this machine, or not on so many processes, a new search has the name of another or
    an address that cannot be, or one that goes on finds other images than it began with; without `data` it is left open
    what those are.
    """
    if not command.resume and directory.has_ledger:
        raise name_is_taken(command.name)
    # A fork has checkpoints before its ledger is there, and is made anew where that was cut off.
    if not command.resume and not (command.fork_of is not None and directory.left_without_ledger == [CHECKPOINTS]):
        check_ledger_is_not_lost(directory)
    cluster = command.cluster
    check_local_machine(cluster)
    if data is not None:
        images, on_gpus = data.summary.train_images, bool(cluster.gpus_per_trial)
        trial_layout(command.training, images, cluster.processes, on_gpus=on_gpus)
    if not command.resume:
        url = command.ledger.of_new_search().url
        if url is not None:
            check_driver(with_driver(url), "the address of the ledger")
    if command.fork_of is not None:
        check_free(run_directory(command.runs_dir, command.fork_of))
    if command.previous is not None and data is not None:
        before, index = command.previous.data_fingerprint, kept_index(command, directory)
        found = [] if before is None else data_changes(before, index, data, command.unreadable)
        undone_by = undoing(before, index, data) if before is not None and found else BRING_BACK
        check_same_images(
            command.fork_of or command.name, command.previous.data_summary, data.summary, found, undone_by
        )


def check_reachable(space: Space, data: DataSummary, limits: CostLimits) -> tuple[int, int]:
    """The FLOPs range of the space on this data. Raises UserError where the limits leave nothing of it."""
    size = {"image_size": data.image_size, "in_channels": data.in_channels, "classes": data.classes}
    lowest, highest = flops_range(space, **size)
    if limits.flops is not None and lowest > limits.flops:
        raise UserError(
            f"--max-flops is {limits.flops:g}, and the cheapest architecture of {space.name} on {data.image_size}² "
            f"images has {lowest:,} FLOPs: expected at least that."
        )
    if limits.params is not None:
        fewest, _ = params_range(space, **size)
        if fewest > limits.params:
            raise UserError(
                f"--max-params is {limits.params:g}, and the smallest architecture of {space.name} on "
                f"{data.image_size}² images has {fewest:,} parameters: expected at least that."
            )
    if limits.flops is not None and limits.params is not None:
        source, rng = SpaceCandidates(space, data, limits), random.Random(0)
        if all(source.sample(rng) is None for _ in range(ATTEMPTS)):
            raise UserError(
                f"of {space.name} no architecture was found that is within both --max-flops {limits.flops:g} and "
                f"--max-params {limits.params:g}: expected a higher limit on one of them."
            )
    return lowest, highest
