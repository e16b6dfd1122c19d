"""The index of a data set of images in folders: what its scan found, in one file, so that not everyone has to scan.

A file is one line, `data-index/1` and the SHA-256 of what follows it, and then compressed JSON. What it says
is believed only as long as the folders have not changed since: `is_current`.
"""

import hashlib
import json
import logging
import os
import time
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import Any

from search_spaces.errors import first_line
from search_spaces.shared_files import replace_shared_file
from trainers.data.content_sample import content_digests, file_sizes, is_small, sampled
from trainers.data.findings import Noted
from trainers.data.fingerprint import DataFiles, DataFingerprint
from trainers.data.folder_layout import Layout
from trainers.data.folder_listing import Folder, FolderListing, list_folders
from trainers.data.shard_listing import list_shards
from trainers.data.tar_members import name_of

MAGIC = b"data-index/1"
# A folder that changed so shortly before it was read may have changed again in the same tick of that file system.
SETTLED_NS = 2 * 10**9
# Up to so many files all sizes are looked at before an index is believed; beyond, those of which contents are known.
MOST_SIZES = 100_000
_HEADER_BYTES = len(MAGIC) + 1 + 64 + 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FileIndex:
    """A scan of a data set, the size of each file in the order of its folders, and the digests of some contents.

    `contents` has the places of these files among all, and `fingerprint` is what follows from all of it. In the
    listing, folders that may have changed unnoticed have 0 for a time.
    """

    imagenet: bool
    listing: FolderListing
    sizes: tuple[int, ...]
    contents: dict[int, str]
    fingerprint: DataFingerprint

    @cached_property
    def files(self) -> list[str]:
        """All files, folder by folder."""
        return _all_files(self.listing)

    @cached_property
    def data_files(self) -> DataFiles:
        """The files as what their data set is known by."""
        return _data_files(self.listing, _paths(self.listing, self.files), self.sizes, self.contents)


def scan_files(root: str, *, imagenet: bool = False, in_shards: bool = False) -> FileIndex:
    """Scans a data set, and looks at its files, or at the images in its tar files.

    Raises UserError where its folders or shards cannot be read sensibly.
    """
    begun_ns = time.time_ns()
    listing = list_shards(root) if in_shards else list_folders(root, imagenet=imagenet)
    ended_ns = time.time_ns()
    for directory, changed_ns in listing.read_at.items():
        # Some file systems keep no times of folders.
        if changed_ns <= 0 or begun_ns - SETTLED_NS < changed_ns < ended_ns + SETTLED_NS:
            listing.read_at[directory] = 0
    files = _all_files(listing)
    sizes, paths = tuple(file_sizes(files)), _paths(listing, files)
    whole = is_small(sizes)
    places = sampled(paths, _places_of_classes(listing), whole=whole)
    digests = content_digests([files[place] for place in places], whole=whole)
    contents = dict(zip(places, digests, strict=True))
    return FileIndex(imagenet, listing, sizes, contents, _data_files(listing, paths, sizes, contents).fingerprint())


def is_current(index: FileIndex, *, contents: bool) -> bool:
    """Whether the folders are as they were when they were scanned, as far as can be seen without another scan.

    That is by the times at which folders changed last, by sizes and, if `contents`, by the contents looked at.
    """
    files = index.files
    if not all(changed_ns and changed_ns == _changed_ns(path) for path, changed_ns in index.listing.read_at.items()):
        return False
    places = list(range(len(files))) if len(files) <= MOST_SIZES else list(index.contents)
    if file_sizes([files[place] for place in places]) != [index.sizes[place] for place in places]:
        return False
    sample = [files[place] for place in index.contents]
    return not contents or content_digests(sample, whole=is_small(index.sizes)) == list(index.contents.values())


def write_index(path: Path, index: FileIndex) -> None:
    """Replaces the index at `path`, whole or not at all, whoever else does so. Raises OSError."""
    content = zlib.compress(json.dumps(_document(index), separators=(",", ":")).encode(), 1)
    header = MAGIC + b" " + hashlib.sha256(content).hexdigest().encode() + b"\n"
    replace_shared_file(path, header + content)


def keep_index(path: Path, index: FileIndex) -> None:
    """`write_index`, but for a warning where it cannot be written: everybody then scans."""
    try:
        write_index(path, index)
    except OSError as error:
        reason = first_line(error)
        logger.warning("the index of the images cannot be written to %s (%s): everybody scans them anew", path, reason)


def read_index(path: Path) -> FileIndex | None:
    """The index at `path`, None where there is none. One that is damaged or of another version is warned of."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        logger.warning("the index of the images %s cannot be read (%s): scanning them anew", path, first_line(error))
        return None
    header, payload = content[:_HEADER_BYTES], content[_HEADER_BYTES:]
    if header != MAGIC + b" " + hashlib.sha256(payload).hexdigest().encode() + b"\n":
        what = "damaged" if header.startswith(MAGIC) else "none of this version"
        logger.warning("the index of the images %s is %s: scanning them anew", path, what)
        return None
    return _index(json.loads(zlib.decompress(payload)))


def _document(index: FileIndex) -> dict[str, Any]:
    listing = index.listing
    layout = listing.layout
    return {
        "imagenet": index.imagenet,
        "root": listing.root,
        "layout": [layout.train, layout.validation, layout.test, list(layout.others)],
        "folders": {split: _folder_document(folder) for split, folder in listing.folders.items()},
        "skipped": [[noted.what, noted.count, noted.example] for noted in listing.skipped],
        "read_at": listing.read_at,
        **({} if listing.labels is None else {"labels": listing.labels}),
        **({} if listing.shards is None else {"shards": listing.shards}),
        "sizes": index.sizes,
        "places": list(index.contents),
        "digests": list(index.contents.values()),
        "fingerprint": index.fingerprint.to_json(),
    }


def _folder_document(folder: Folder) -> dict[str, Any]:
    beyond = len(os.path.join(folder.directory, ""))
    return {
        "directory": folder.directory,
        "classes": folder.classes,
        "counts": _class_counts(folder),
        "files": [file[beyond:] for file in folder.files],
    }


def _index(document: dict[str, Any]) -> FileIndex:
    train, validation, test, others = document["layout"]
    listing = FolderListing(
        root=document["root"],
        layout=Layout(train, validation, test, tuple(others)),
        folders={split: _folder(folder) for split, folder in document["folders"].items()},
        skipped=tuple(Noted(*noted) for noted in document["skipped"]),
        read_at=document["read_at"],
        labels=document.get("labels"),
        shards=document.get("shards"),
    )
    contents = dict(zip(document["places"], document["digests"], strict=True))
    fingerprint = DataFingerprint.from_json(document["fingerprint"])
    return FileIndex(document["imagenet"], listing, tuple(document["sizes"]), contents, fingerprint)


def _folder(document: dict[str, Any]) -> Folder:
    directory = os.path.join(document["directory"], "")
    labels = chain.from_iterable([label] * count for label, count in enumerate(document["counts"]))
    files = tuple([directory + file for file in document["files"]])
    return Folder(document["directory"], tuple(document["classes"]), files, tuple(labels))


def _all_files(listing: FolderListing) -> list[str]:
    return list(chain.from_iterable(folder.files for folder in listing.folders.values()))


def _paths(listing: FolderListing, files: Sequence[str]) -> list[str]:
    """The files by their paths below the root."""
    beyond_root = len(os.path.join(listing.root, ""))
    names = files if listing.shards is None else map(name_of, files)
    return [name[beyond_root:] for name in names]


def _data_files(
    listing: FolderListing, paths: Sequence[str], sizes: Sequence[int], contents: Mapping[int, str]
) -> DataFiles:
    classes = next(iter(listing.folders.values())).classes
    return DataFiles(classes, paths, sizes, {paths[place]: digest for place, digest in contents.items()})


def _class_counts(folder: Folder) -> list[int]:
    """How many files each class has. They lie together, one class after the other."""
    counts = Counter(folder.labels)
    return [counts[label] for label in range(len(folder.classes))]


def _places_of_classes(listing: FolderListing) -> list[Sequence[int]]:
    """The places among all files of those of each class of each folder, which lie together."""
    counts = chain.from_iterable(_class_counts(folder) for folder in listing.folders.values())
    return [range(start, end) for start, end in pairwise(accumulate(counts, initial=0))]


def _changed_ns(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None
