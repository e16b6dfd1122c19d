"""What has become of a data set since it was looked at last."""

from collections.abc import Collection
from pathlib import Path

from trainers.data.datasets import ExaminedData
from trainers.data.file_index import read_index
from trainers.data.fingerprint import (
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
    known = None if index is None else read_index(index)
    if now.index is None:
        return summary_differences(before, now.fingerprint)
    if known is None or known.fingerprint != before:
        contents = now.index.data_files.contents
        return content_differences(before, now.fingerprint, contents) or summary_differences(before, now.fingerprint)
    files, files_now = known.data_files, now.index.data_files
    changes = file_changes(files, files_now)
    if files.classes == files_now.classes and not (changes.gone or changes.new) and changes.all_among(unreadable):
        return []
    # Files that were read to another extent, the data set having grown, say nothing by their digests.
    return differences(files, files_now) or summary_differences(before, now.fingerprint)
