"""What ends a search that is no mistake of its command's and none of ours: a full disk, a database that is gone."""

from pathlib import Path

from nas.driver.commands import resume_command
from nas.engine.faults import EverythingFails
from nas.ledger.database import loss_of_ledger
from nas.ledger.location import is_deleted, without_directory
from nas.settings.cluster_settings import ClusterSettings
from nas.settings.run_directory import RunDirectory
from nas.workers.storage_full import is_full
from trainers.storage.remote_folder import StorageLost


def _loss_of_storage(error: BaseException | None) -> str | None:
    """What a storage said, where it is the reason of an exception; None where it is not."""
    while error is not None:
        if isinstance(error, StorageLost):
            return str(error)
        error = error.__cause__ or error.__context__
    return None


def outage(error: Exception, directory: RunDirectory, cluster: ClusterSettings, ledger_url: str | None) -> str | None:
    """In one line what was in the way and how to go on without it; None where the error is another.

    `ledger_url` is the ledger's address, where the user gave it.
    """
    said = loss_of_ledger(error)
    vanished = not directory.has_ledger and _is_in(directory, error)
    # What is full is a database's own disk where the ledger is in one.
    if is_full(error) and (said is None or directory.ledger.is_file()):
        trouble, once = f"the storage {str(directory.path)!r} is full: make space there, then", ""
    elif isinstance(error, EverythingFails):
        kept = f" (what was said of them is in {str(directory.errors)!r})" if directory.errors.is_dir() else ""
        trouble, once = f"nothing can be trained: {error}{kept}.", " Once that is mended,"
    elif (lost := _loss_of_storage(error)) is not None:
        trouble, once = f"the storage {lost}.", " Once it is back,"
    elif said is not None:
        trouble, once = f"the ledger of search {directory.name!r} cannot be written: {said}.", " Once it can be,"
    elif vanished:
        trouble, once = f"the directory of the search, {str(directory.path)!r}, is not there.", " Once it is back,"
    elif is_deleted(directory, ledger_url):
        return (
            f"search {directory.name!r} is in its database no more: its study was deleted there, with all trials. "
            f"Nothing goes on with it; what else there is of it is in {str(directory.path)!r}."
        )
    else:
        return None
    # Where something was trained there is a ledger, though the directory that has it, or leads to it, may be gone.
    is_gone = vanished or (not directory.has_ledger and isinstance(error, EverythingFails))
    if is_gone and (remedy := without_directory(directory, ledger_url)) is not None:
        trouble = f"{trouble} {remedy}"
    if is_gone and directory.path.is_dir():
        # What Ray makes anew for itself: what is moved back would come to lie in it.
        once = f"{once} in the place of what is there now,"
    way_on = (
        f"go on with it: {resume_command(directory, cluster)}"
        if directory.has_ledger or is_gone
        else "start the search again."
    )
    return f"{trouble}{once} {way_on}"


def _is_in(directory: RunDirectory, error: Exception) -> bool:
    """Whether a file in a search's directory was not found."""
    return isinstance(error, FileNotFoundError) and Path(str(error.filename)).is_relative_to(directory.path)
