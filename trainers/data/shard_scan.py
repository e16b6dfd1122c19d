"""One tar file of images: its members, the classes that it says they have, and what is wrong with it."""

import json
import os
import tarfile
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from search_spaces.errors import UserError, first_line
from trainers.data.skipped import HIDDEN, NO_FILES
from trainers.data.tar_members import TarMember
from trainers.pictures.image_formats import readable_suffixes, suffix_of

# Where a JSON beside an image has its class.
LABEL_KEYS = ("label", "cls", "class")
REPLACED = "replaced by a later member of the same name"
_BLOCK = 512


@dataclass(slots=True)
class ShardMembers:
    """The images of a shard by their names, the label of each key, if it has labels, and the members passed over."""

    shard: str
    images: dict[str, TarMember] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def label_of(self, name: str) -> str | None:
        """What a file beside an image says of its class."""
        return self.labels.get(key_of(name))


def key_of(name: str) -> str:
    """What the files of one sample share: the path up to the first dot of its last part, as WebDataset has it."""
    folder, base = os.path.split(name)
    return os.path.join(folder, base.partition(".")[0])


def scan_shard(shard: str) -> ShardMembers:
    """Reads the headers of a shard. Raises UserError where it is no whole tar file."""
    found = ShardMembers(shard)
    suffixes = readable_suffixes()
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                _take(tar, member, found, suffixes)
            end = tar.offset
        with open(shard, "rb") as file:
            file.seek(end)
            last = file.read(_BLOCK)
    except (tarfile.TarError, OSError, EOFError) as error:
        reason = first_line(error).rstrip(".")
        raise UserError(f"data.root: shard {shard!r} cannot be read as a tar file: {reason}.") from error
    if last != bytes(_BLOCK):
        what = "it breaks off" if len(last) < _BLOCK else "a header is damaged"
        raise UserError(
            f"data.root: shard {shard!r} is not whole: {what} at byte {end:,}, after {len(found.images):,} images."
        )
    return found


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, found: ShardMembers, suffixes: frozenset[str]) -> None:
    if member.isdir():
        return
    name = str(PurePosixPath(member.name))
    base = os.path.basename(name)
    path = f"{found.shard}/{name}"
    if base.startswith("."):
        found.skipped.append((HIDDEN, path))
    elif not member.isreg() or member.issparse():
        found.skipped.append((NO_FILES, path))
    elif suffix_of(base) in suffixes:
        if name in found.images:
            found.skipped.append((REPLACED, path))
        found.images[name] = TarMember(found.shard, name, member.offset_data, member.size)
    elif base.endswith((".cls", ".json")):
        content = tar.extractfile(member)
        assert content is not None
        found.labels[key_of(name)] = _label(path, content.read())
    else:
        suffix = suffix_of(base)
        found.skipped.append((f"{suffix} files" if suffix else "files without a suffix", path))


def _label(path: str, content: bytes) -> str:
    """What a .cls or a .json says. Raises UserError where that is no class."""
    try:
        text = content.decode("utf-8").strip()
        value = json.loads(text) if path.endswith(".json") else text
    except ValueError as error:
        raise UserError(f"data.root: {path!r} cannot be read: {first_line(error)}.") from error
    if isinstance(value, dict):
        value = next((value[key] for key in LABEL_KEYS if key in value), None)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise UserError(
            f"data.root: {path!r} names no class: expected a number or a name, in a JSON object as one of "
            f"{', '.join(LABEL_KEYS)}."
        )
    return str(value)
