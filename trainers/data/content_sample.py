"""Of which files of a data set the contents are looked at, and how much of each; the same ones wherever it lies.

A data set of up to SMALL_BYTES in up to SMALL_FILES is read whole. Of a greater one the first and the last END_BYTES
are read of SAMPLED_FILES files, as many of every class of every split, no less than LEAST_OF_A_CLASS: those whose paths
have the lowest CRC-32. So in a data set of up to some 8,000 images any exchange is noticed that the ends of the files
show, and in one of ImageNet's size (five of the 1,300 files of a class) one of files by the hundred. The sizes of all
files are part of the fingerprint.
"""

import hashlib
import heapq
import os
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

from trainers.data.fingerprint import NO_SIZE, UNREADABLE
from trainers.data.tar_members import opened, size_of

SMALL_BYTES, SMALL_FILES = 64 * 2**20, 20_000
END_BYTES = 8 * 2**10
SAMPLED_FILES, LEAST_OF_A_CLASS = 8192, 4
# A file system behind a network answers many at a time.
READERS = 16


def is_small(sizes: Sequence[int]) -> bool:
    """Whether a data set with files of these sizes is read whole."""
    return len(sizes) <= SMALL_FILES and sum(size for size in sizes if size != NO_SIZE) <= SMALL_BYTES


def sampled(paths: Sequence[str], classes: Sequence[Sequence[int]], *, whole: bool) -> list[int]:
    """The places of the files whose contents are looked at. `classes` holds those of each class of each split."""
    if whole:
        return list(range(len(paths)))
    of_each = max(LEAST_OF_A_CLASS, -(-SAMPLED_FILES // max(1, len(classes))))

    def drawn(place: int) -> tuple[int, str]:
        return zlib.crc32(paths[place].encode("utf-8", "surrogateescape")), paths[place]

    return sorted(chain.from_iterable(heapq.nsmallest(of_each, places, key=drawn) for places in classes))


def content_digests(files: Sequence[str], *, whole: bool) -> list[str]:
    """The digest of each file, or of its ends unless it is to be read whole; UNREADABLE where that cannot be."""
    with ThreadPoolExecutor(READERS) as readers:
        return list(readers.map(lambda file: _digest(file, whole), files))


def file_sizes(files: Sequence[str]) -> list[int]:
    """The size of each file in bytes, or NO_SIZE."""
    chunks = [files[start : start + 1000] for start in range(0, len(files), 1000)]
    with ThreadPoolExecutor(READERS) as readers:
        return list(chain.from_iterable(readers.map(_sizes, chunks)))


def _sizes(files: Sequence[str]) -> list[int]:
    return [_size(file) for file in files]


def _size(file: str) -> int:
    try:
        return size_of(file)
    except OSError:
        return NO_SIZE


def _digest(file: str, whole: bool) -> str:
    try:
        with opened(file) as content:
            size = content.seek(0, os.SEEK_END)
            content.seek(0)
            if whole or size <= 2 * END_BYTES:
                return f"whole:{hashlib.sha256(content.read()).hexdigest()}"
            digest = hashlib.sha256(content.read(END_BYTES))
            content.seek(-END_BYTES, os.SEEK_END)
            digest.update(content.read(END_BYTES))
            return f"ends:{digest.hexdigest()}"
    except OSError:
        return UNREADABLE
