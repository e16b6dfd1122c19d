"""What opens the address of a storage: pyarrow's own file systems, and fsspec's."""

import datetime
import functools
from typing import Any

from trainers.storage.address import StorageAddress

# So that a server that does not answer is known within seconds: whoever wants to wait for it tries again.
CONNECT_SECONDS = 3.0
ATTEMPTS = 2
GCS_RETRY_SECONDS = 6.0


def is_object_store(address: StorageAddress) -> bool:
    """Whether what is written there is there as a whole or not at all, without being renamed."""
    return address.scheme in ("s3", "gs")


def file_system(address: StorageAddress) -> Any:
    """The pyarrow.fs.FileSystem of an address, on which `path_in` is a path. Raises whatever goes wrong there."""
    return _file_system(address.storage)


def path_in(address: StorageAddress) -> str:
    """The path of an address on its file system."""
    if is_object_store(address):
        return address.path
    return str(file_system(address).handler.fs._strip_protocol(str(address)))


def listing(address: StorageAddress, *, of_files: bool) -> list[str]:
    """The names of the files at an address, or of the folders; none where nothing is there."""
    from pyarrow import fs

    if not is_object_store(address):
        # Others may have written there since what is remembered of it.
        file_system(address).handler.fs.invalidate_cache()
    wanted = fs.FileType.File if of_files else fs.FileType.Directory
    found = file_system(address).get_file_info(fs.FileSelector(path_in(address), allow_not_found=True))
    return sorted(info.base_name for info in found if info.type == wanted)


def content_of(address: StorageAddress) -> bytes:
    """What a file holds, all of it as it was at one moment. Raises whatever goes wrong there."""
    system, path = file_system(address), path_in(address)
    while True:
        with system.open_input_file(path) as file:
            version = file.size(), file.metadata()
            content: bytes = file.read()
        # A file may be replaced by another once its size is known. The metadata of an object tell.
        with system.open_input_file(path) as file:
            if version == (file.size(), file.metadata()):
                return content


def buckets(address: StorageAddress) -> list[str]:
    """The buckets that there are beside that of an address. Raises OSError where nobody may know."""
    from pyarrow import fs

    return [info.base_name for info in file_system(address).get_file_info(fs.FileSelector(""))]


@functools.lru_cache(maxsize=8)
def _file_system(root: StorageAddress) -> Any:
    from pyarrow import fs

    options = dict(root.options)
    if root.scheme == "s3":
        if "endpoint_override" in options:
            options.setdefault("region", "us-east-1")
        elif "region" not in options:
            options["region"] = fs.resolve_s3_region(root.path)
        return fs.S3FileSystem(
            **options,
            connect_timeout=CONNECT_SECONDS,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
            # A small file is then one request, which is answered when it is there.
            allow_delayed_open=True,
            # Without, closing a file of which a part was refused completes it with the other parts.
            background_writes=True,
        )
    if root.scheme == "gs":
        return fs.GcsFileSystem(**options, retry_time_limit=datetime.timedelta(seconds=GCS_RETRY_SECONDS))
    import fsspec

    opened, _ = fsspec.core.url_to_fs(str(root))
    return fs.PyFileSystem(fs.FSSpecHandler(opened))
