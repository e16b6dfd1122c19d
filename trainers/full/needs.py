"""What a training takes of its machine, by how many processes read its images."""

from search_spaces.machine import Needs

# For each of the three splits, as they live on.
LOADERS = 3
# What a training was seen to take, and as much again, by itself and for each process that reads images for it. Batches
# on their way from those may be files in shared memory, too.
OPEN_FILES, OPEN_FILES_A_READER = 64, 9
THREADS, THREADS_A_READER = 32, 5
# A checkpoint is as large as its network, of which `trainers.full.disk_room` knows. This is for all else, such as
# figures, and for what torch's compiler first makes of its own headers: 156 MB were seen.
FILE_BYTES, COMPILED_FILE_BYTES = 10_000_000, 200_000_000


def training_needs(loader_workers: int, *, is_compiled: bool = False) -> Needs:
    """What a training needs that reads the images of each split by so many processes, and may compile its network."""
    readers = LOADERS * loader_workers
    return Needs(
        open_files=OPEN_FILES + OPEN_FILES_A_READER * readers,
        threads=THREADS + THREADS_A_READER * readers,
        file_bytes=COMPILED_FILE_BYTES if is_compiled else FILE_BYTES,
    )
