"""What ends a search that is no mistake of its command's and none of ours: a full disk, a database that is gone."""

from nas.driver.commands import resume_command
from nas.engine.faults import EverythingFails
from nas.ledger.database import loss_of_ledger
from nas.ledger.location import is_deleted
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
    # What is full is a database's own disk where the ledger is in one.
    if is_full(error) and (said is None or directory.ledger.is_file()):
        trouble = f"the storage {str(directory.path)!r} is full: make space there, then"
    elif isinstance(error, EverythingFails):
        kept = f" (what was said of them is in {str(directory.errors)!r})" if directory.errors.is_dir() else ""
        trouble = f"nothing can be trained: {error}{kept}. Once that is mended,"
    elif (lost := _loss_of_storage(error)) is not None:
        trouble = f"the storage {lost}. Once it is back,"
    elif said is not None:
        trouble = f"the ledger of search {directory.name!r} cannot be written: {said}. Once it can be,"
    elif is_deleted(directory, ledger_url):
        return (
            f"search {directory.name!r} is in its database no more: its study was deleted there, with all trials. "
            f"Nothing goes on with it; what else there is of it is in {str(directory.path)!r}."
        )
    else:
        return None
    # Where something was trained there is a ledger, though the directory that has it, or leads to it, may be gone.
    is_begun = directory.has_ledger or isinstance(error, EverythingFails)
    way_on = f"go on with it: {resume_command(directory, cluster)}" if is_begun else "start the search again."
    return f"{trouble} {way_on}"
