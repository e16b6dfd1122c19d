"""What has become of a data set since it was looked at last."""

from collections.abc import Collection
from pathlib import Path

from trainers.data.datasets import ExaminedData
from trainers.data.file_index import read_index
from trainers.data.fingerprint import (
    BRING_BACK,
    TAKE_AWAY,
    DataFiles,
    DataFingerprint,
    content_differences,
    differences,
    file_changes,
    summary_differences,
)


def data_changes(
    before: DataFingerprint, index: Path | None, now: ExaminedData, unreadable: Collection[str] = ()
) -> list[str]:
    """In what a data set differs from the one that had the fingerprint `before`, in words; empty where in nothing.

    The index of its files at that time, if it is still at `index`, says which of them; else the fingerprint's marks do
    where they have other contents and nothing else differs. The images of which nobody could
    read anything then, by their paths below the root, may have been mended since.
    """
    if before == now.fingerprint:
        return []
    if now.index is None:
        return summary_differences(before, now.fingerprint)
    files, files_now = _files_then(before, index), now.index.data_files
    if files is None:
        contents = files_now.contents
        return content_differences(before, now.fingerprint, contents) or summary_differences(before, now.fingerprint)
    changes = file_changes(files, files_now)
    if files.classes == files_now.classes and not (changes.gone or changes.new) and changes.all_among(unreadable):
        return []
    # Files that were read to another extent, the data set having grown, say nothing by their digests.
    return differences(files, files_now) or summary_differences(before, now.fingerprint)


def undoing(before: DataFingerprint, index: Path | None, now: ExaminedData) -> str:
    """What undoes the changes of a data set, in words, by what `data_changes` goes by."""
    files = _files_then(before, index)
    if files is None or now.index is None:
        return TAKE_AWAY if now.fingerprint.files > before.files else BRING_BACK
    return file_changes(files, now.index.data_files).undone_by()


def _files_then(before: DataFingerprint, index: Path | None) -> DataFiles | None:
    """The files of the data set that had this fingerprint, if the index of them is still there."""
    known = None if index is None else read_index(index)
    return None if known is None or known.fingerprint != before else known.data_files
