"""What is checked before a search starts, and before what it runs on is loaded: a mistake is said at once."""

from pathlib import Path

from nas.driver.earlier_searches import earlier_searches
from nas.driver.local_machine import check_local_machine
from nas.driver.lock import check_free
from nas.driver.storage_check import check_space
from nas.settings.address_checks import check_driver, with_driver
from nas.settings.changes import check_same_images
from nas.settings.command import Command
from nas.settings.run_directory import RunDirectory, run_directory
from nas.workers.trial_layout import trial_layout
from search_spaces.errors import UserError
from search_spaces.space import Space
from search_spaces.space_cost import flops_range
from trainers.data.config import DataSummary
from trainers.data.data_changes import data_changes
from trainers.data.datasets import ExaminedData, examine_data


def kept_index(command: Command, directory: RunDirectory) -> Path | None:
    """Where the index of the images is that the search had, with whose results a command begins; None of a new one."""
    if command.fork_of is not None:
        return run_directory(command.runs_dir, command.fork_of).data_index
    return directory.data_index if command.resume else None


def check_search(command: Command, directory: RunDirectory) -> ExaminedData:
    """What is there of the data. Raises UserError where the search that was asked for could not begin or go on."""
    data = examine_data(command.data, kept_index(command, directory))
    check_ledger(command, directory, data)
    check_reachable(command.space, data.summary, command.search.max_flops)
    check_space(directory, command.space, data.summary, command.training, command.search)
    return data


def check_ledger(command: Command, directory: RunDirectory, data: ExaminedData | None) -> None:
    """Raises UserError where a command has no ledger to work on: before anything is started, and changing nothing.

    That is where no trial can run on this machine, or not on so many processes, a new search has the name of another or
    an address that cannot be, or one that goes on finds other images than it began with; without `data` it is left open
    what those are.
    """
    if not command.resume and directory.has_ledger:
        raise UserError(f"a search named {command.name!r} exists already: resume it with --resume {command.name}.")
    cluster = command.cluster
    check_local_machine(cluster)
    if data is not None:
        images, on_gpus = data.summary.train_images, bool(cluster.gpus_per_trial)
        trial_layout(command.training, images, cluster.processes, on_gpus=on_gpus)
    earlier_searches(command)
    if not command.resume:
        url = command.ledger.of_new_search().url
        if url is not None:
            check_driver(with_driver(url), "the address of the ledger")
    if command.fork_of is not None:
        check_free(run_directory(command.runs_dir, command.fork_of))
    if command.previous is not None and data is not None:
        before, index = command.previous.data_fingerprint, kept_index(command, directory)
        found = [] if before is None else data_changes(before, index, data, command.unreadable)
        check_same_images(command.fork_of or command.name, command.previous.data_summary, data.summary, found)


def check_reachable(space: Space, data: DataSummary, max_flops: float | None) -> tuple[int, int]:
    """The FLOPs range of the space on this data. Raises UserError where the limit leaves nothing of it."""
    lowest, highest = flops_range(space, image_size=data.image_size, in_channels=data.in_channels, classes=data.classes)
    if max_flops is not None and lowest > max_flops:
        raise UserError(
            f"--max-flops is {max_flops:g}, and the cheapest architecture of {space.name} on {data.image_size}² images "
            f"has {lowest:,} FLOPs: expected at least that."
        )
    return lowest, highest
