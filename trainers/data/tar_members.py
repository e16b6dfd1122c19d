"""Images in tar files, each known by its shard, its name in it, and where its bytes lie there, all in one text.

`SHARD.tar/NAME@OFFSET+SIZE` stands where the path of a file would. It ends in no suffix of an image, as files do.
"""

import io
import os
import re
from dataclasses import dataclass
from typing import BinaryIO

_MEMBER = re.compile(r"(.+?\.tar)/(.+)@(\d+)\+(\d+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TarMember:
    """`size` bytes from `offset` on, of the tar file `shard`, in which they are named `name`."""

    shard: str
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.shard}/{self.name}@{self.offset}+{self.size}"

    def content(self) -> bytes:
        """Raises OSError where the shard is not there, or ends before."""
        with open(self.shard, "rb") as file:
            file.seek(self.offset)
            content = file.read(self.size)
        if len(content) < self.size:
            raise OSError(f"{self.shard} ends before the end of {self.name}")
        return content


def member_of(file: str) -> TarMember | None:
    """The member that a text stands for, None where it is the path of a file."""
    found = _MEMBER.fullmatch(file)
    return None if found is None else TarMember(found[1], found[2], int(found[3]), int(found[4]))


def name_of(file: str) -> str:
    """The path of a file, or SHARD.tar/NAME of a member: what it is known by wherever it lies in its shard."""
    member = member_of(file)
    return file if member is None else f"{member.shard}/{member.name}"


def opened(file: str) -> BinaryIO:
    """The bytes of a file or of a member. Raises OSError."""
    member = member_of(file)
    return open(file, "rb") if member is None else io.BytesIO(member.content())


def size_of(file: str) -> int:
    """The size in bytes of a file, or of a member of a shard that is long enough. Raises OSError."""
    member = member_of(file)
    if member is None:
        return os.stat(file).st_size
    if os.stat(member.shard).st_size < member.offset + member.size:
        raise OSError(f"{member.shard} ends before the end of {member.name}")
    return member.size


def changed_ns(file: str) -> int:
    """When a file, or the shard of a member, was changed last, in nanoseconds. Raises OSError."""
    member = member_of(file)
    return os.stat(file if member is None else member.shard).st_mtime_ns


def is_there(file: str) -> bool:
    """Whether there is a file, or the shard of a member."""
    member = member_of(file)
    return os.path.exists(file if member is None else member.shard)


def shard_directory(root: str) -> str:
    """The directory of the shards that `root` names: itself, or DIR of DIR/a.tar or of a pattern, DIR/{00..99}.tar."""
    if os.path.isdir(root):
        return root
    if "{" in root:
        return os.path.dirname(root[: root.index("{")]) or "."
    return os.path.dirname(root) or "." if root.endswith(".tar") else root
