"""What it takes to know what is in a data set of images in folders: by a scan, and by the index that a scan leaves.

    python -m tests.benchmarks.data_index [--files 1300000] [--classes 1000] [--keep DIR]

Makes so many empty files of usual sizes in train/, and a twenty-fifth of them in val/, as ImageNet has. The first scan
is that of a driver, which looks at sizes and contents; the second only lists, as each worker did before there was an
index.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tests.support.present import present
from trainers.data.file_index import is_current, read_index, scan_files, write_index
from trainers.data.folder_listing import list_folders

T = TypeVar("T")


def make(root: Path, files: int, classes: int) -> None:
    for label in range(classes):
        for split, count in (("train", files // classes), ("val", files // classes // 25 + 1)):
            directory = root / split / f"n{label:08d}"
            directory.mkdir(parents=True)
            for number in range(count):
                with (directory / f"n{label:08d}_{number * 7919 % 99991:05d}_{number}.JPEG").open("wb") as file:
                    # Holes, which take no room.
                    file.truncate(90_000 + 7919 * number % 40_000)


def timed(what: str, work: Callable[[], T]) -> tuple[T, float]:
    begun = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what:<60}{seconds:>8.2f} s{peak:>8.0f} MB at most so far", flush=True)
    return result, seconds


def measure(root: Path, path: Path) -> None:
    time.sleep(2.5)  # Until no folder has changed just now.
    index, _ = timed("the first look: scan, sizes, sample of contents", lambda: scan_files(str(root)))
    print(f"{'':<4}{len(index.files):,} files, {len(index.contents):,} of them looked into")
    timed("the index is written", lambda: write_index(path, index))
    print(f"{'':<4}{path.stat().st_size / 1e6:.1f} MB")
    _, listing = timed("a worker's scan", lambda: list_folders(str(root)))
    read, reading = timed("the index is read", lambda: present(read_index(path)))
    assert read == index
    current, checking = timed("and found to be current by a worker", lambda: is_current(read, contents=False))
    assert current
    timed("and by a driver", lambda: is_current(read, contents=True))
    print(f"a worker's scan takes {listing / (reading + checking):.1f} times as long as its index")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1_300_000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--keep", type=Path, help="where the files stay, or are already")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = options.keep or Path(scratch, "images")
        if not root.exists():
            timed("the files are made", lambda: make(root, options.files, options.classes))
        measure(root, Path(scratch, "data.index"))


if __name__ == "__main__":
    main()
