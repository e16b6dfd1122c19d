"""What is checked before a search starts, and before what it runs on is loaded: a mistake is said at once."""

from nas.driver.lock import check_free
from nas.driver.storage_check import check_space
from nas.settings.changes import check_same_images
from nas.settings.command import Command
from nas.settings.run_directory import RunDirectory, run_directory
from search_spaces.errors import UserError
from search_spaces.space import Space
from search_spaces.space_cost import flops_range
from trainers.data.config import DataSummary
from trainers.data.datasets import examine_data
from trainers.data.findings import DataFindings


def check_search(command: Command, directory: RunDirectory) -> tuple[DataSummary, DataFindings | None]:
    """What is there of the data. Raises UserError where the search that was asked for could not begin or go on."""
    data, findings = examine_data(command.data)
    check_ledger(command, directory, data)
    check_reachable(command.space, data, command.search.max_flops)
    check_space(directory, command.space, data, command.training, command.search)
    return data, findings


def check_ledger(command: Command, directory: RunDirectory, data: DataSummary) -> None:
    """Raises UserError where a command has no ledger to work on: before anything is started, and changing nothing.

    That is where a new search has the name of another, or one that goes on finds other images than it began with.
    """
    if not command.resume and directory.has_ledger:
        raise UserError(f"a search named {command.name!r} exists already: resume it with --resume {command.name}.")
    if command.fork_of is not None:
        check_free(run_directory(command.runs_dir, command.fork_of))
    if command.previous is not None:
        check_same_images(command.fork_of or command.name, command.previous.data_summary, data)


def check_reachable(space: Space, data: DataSummary, max_flops: float | None) -> tuple[int, int]:
    """The FLOPs range of the space on this data. Raises UserError where the limit leaves nothing of it."""
    lowest, highest = flops_range(space, image_size=data.image_size, in_channels=data.in_channels, classes=data.classes)
    if max_flops is not None and lowest > max_flops:
        raise UserError(
            f"--max-flops is {max_flops:g}, and the cheapest architecture of {space.name} on {data.image_size}² images "
            f"has {lowest:,} FLOPs: expected at least that."
        )
    return lowest, highest
