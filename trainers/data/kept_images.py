"""Decoded images that are kept for the next epoch: in memory that loader processes share, or in files.

That changes no pixel. A full training keeps a small set in memory by itself. Where `data.cache` names a directory,
images are kept there, each in a file, so that trainings beside and after each other share them; a file is there whole
or not at all, whoever is killed and whatever is full, and carries a CRC-32. Its name says of which image it is, and how
large that was and when it was changed last: one that was changed since is read anew.
"""

import hashlib
import logging
import mmap
import multiprocessing
import os
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import get_worker_info

from search_spaces.errors import UserError, first_line
from trainers.data.free_memory import free_memory
from trainers.data.tar_members import changed_ns, name_of, opened, size_of
from trainers.pictures.image_formats import readable_formats
from trainers.pictures.rgb import DAMAGE

# Of the memory that is free one split may take so large a part: others train beside it.
SHARE = 1 / 16
# The images of which the size is looked at before, and by how much all of them may be larger than those.
LOOKED_AT, MARGIN = 64, 1.25
PART_MARGIN = 2**26
_HEADER = struct.Struct("<8sIII")
_MAGIC = b"pixels/1"

logger = logging.getLogger(__name__)


class Kept(Protocol):
    """PIL images in RGB by their number in a split."""

    def image(self, index: int, make: Callable[[], Any]) -> Any:
        """That which is kept, or else what `make` makes, which is kept where there is room."""
        ...


class NothingKept:
    """Where there is no room."""

    def image(self, index: int, make: Callable[[], Any]) -> Any:
        return make()


class KeptInMemory:
    """In anonymous memory that this process shares with those that it forks. Each of them fills a part of its own."""

    def __init__(self, images: int, part_bytes: int, processes: int) -> None:
        self._parts, self._capacity = max(1, processes), part_bytes
        # It takes memory only where it is written to.
        self._pixels = mmap.mmap(-1, max(mmap.PAGESIZE, self._parts * self._capacity))
        counted = mmap.mmap(-1, 8 * (3 * images + self._parts))
        numbers: NDArray[np.int64] = np.frombuffer(counted, dtype=np.int64)
        # Of each image its width and its height, and then where it begins, counted from 1: 0 is nowhere.
        self._places_I3 = numbers[: 3 * images].reshape(images, 3)
        self._filled_P = numbers[3 * images :]

    def image(self, index: int, make: Callable[[], Any]) -> Any:
        image = self.get(index)
        if image is None:
            image = make()
            self.keep(index, image)
        return image

    def get(self, index: int) -> Any | None:
        from PIL import Image

        width, height, begin = self._places_I3[index].tolist()
        if not begin:
            return None
        return Image.frombytes("RGB", (width, height), self._pixels[begin - 1 : begin - 1 + 3 * width * height])

    def keep(self, index: int, image: Any) -> None:
        worker = get_worker_info()
        part = 0 if worker is None else worker.id % self._parts
        pixels = image.tobytes()
        filled = int(self._filled_P[part])
        if filled + len(pixels) > self._capacity:
            return
        begin = part * self._capacity + filled
        self._pixels[begin : begin + len(pixels)] = pixels
        self._filled_P[part] = filled + len(pixels)
        self._places_I3[index, :2] = image.size
        # Last: from here on others take it for there.
        self._places_I3[index, 2] = begin + 1


class KeptInFiles:
    """In a directory, each of the images `files_I` in a file that is named for its path below `root`, size and time.

    Raises UserError where the directory cannot be written.
    """

    def __init__(self, directory: Path, files_I: Sequence[str], root: str) -> None:
        self._directory, self._files_I, self._root = directory, files_I, root
        try:
            directory.mkdir(parents=True, exist_ok=True)
            writable = os.access(directory, os.W_OK | os.X_OK)
        except OSError as error:
            raise UserError(f"data.cache: {str(directory)!r} cannot be made: {first_line(error)}.") from error
        if not writable:
            raise UserError(f"data.cache: {str(directory)!r} cannot be written.")
        # Shared with the loader processes: whether writing has failed.
        self._has_failed = mmap.mmap(-1, mmap.PAGESIZE)

    def image(self, index: int, make: Callable[[], Any]) -> Any:
        try:
            # Before it is read: what changes meanwhile is not kept for what it has become.
            file = self._file(self._files_I[index])
        except OSError:
            return make()  # Which says what is wrong with it.
        image = self._read(file)
        if image is None:
            image = make()
            self._write(file, image)
        return image

    def _read(self, file: Path) -> Any | None:
        from PIL import Image

        try:
            content = file.read_bytes()
        except OSError:
            return None
        if len(content) < _HEADER.size:
            return None
        magic, width, height, checksum = _HEADER.unpack_from(content)
        pixels = memoryview(content)[_HEADER.size :]
        if magic != _MAGIC or len(pixels) != 3 * width * height or zlib.crc32(pixels) != checksum:
            return None  # It is made anew.
        return Image.frombytes("RGB", (width, height), pixels)

    def _write(self, file: Path, image: Any) -> None:
        if self._has_failed[0]:
            return
        pixels = image.tobytes()
        partial = file.with_suffix(f".{os.getpid()}")
        try:
            file.parent.mkdir(exist_ok=True)
            partial.write_bytes(_HEADER.pack(_MAGIC, *image.size, zlib.crc32(pixels)) + pixels)
            partial.replace(file)
        except OSError as error:
            self._has_failed[0] = 1
            logger.warning(
                "data.cache: %s cannot be written (%s): what is not kept there yet is decoded in each epoch",
                self._directory,
                first_line(error),
            )
            partial.unlink(missing_ok=True)

    def _file(self, image: str) -> Path:
        name = os.path.relpath(name_of(image), self._root)
        stamp = f"{name}\0{size_of(image)}\0{changed_ns(image)}"
        digest = hashlib.sha256(stamp.encode("utf-8", "surrogateescape")).hexdigest()
        return self._directory / digest[:2] / f"{digest[2:32]}.pixels"


def kept_in_memory(files: Sequence[str], processes: int, side: int | None = None) -> Kept:
    """Room for the decoded images of these files, or for squares of `side` pixels of each, if there is plenty."""
    if multiprocessing.get_context().get_start_method() != "fork":
        return NothingKept()  # Loader processes would share nothing.
    size = int(MARGIN * (3 * side**2 * len(files) if side is not None else _decoded_bytes(files)))
    if not 0 < size < SHARE * free_memory():
        return NothingKept()
    # Batch by batch, processes get more or less to keep.
    part = min(size, 2 * size // max(1, processes) + PART_MARGIN)
    return KeptInMemory(len(files), part, processes)


def _decoded_bytes(files: Sequence[str]) -> int:
    """What all images take when they are decoded, by a look at the headers of some, evenly over all."""
    from PIL import Image

    found = []
    for file in files[:: max(1, len(files) // LOOKED_AT)]:
        try:
            with opened(file) as content, Image.open(content, formats=readable_formats()) as image:
                found.append(3 * image.width * image.height)
        except DAMAGE:
            continue  # Whoever reads it says what is wrong with it.
    return int(np.mean(found) * len(files)) if found else 0
