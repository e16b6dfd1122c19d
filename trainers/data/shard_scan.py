"""One tar file of images: its members, what its files of labels say, and what is wrong with it."""

import json
import os
import re
import tarfile
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from search_spaces.errors import UserError, first_line
from trainers.data.skipped import HIDDEN, NO_FILES
from trainers.data.tar_members import TarMember
from trainers.pictures.file_kinds import FIRST_BYTES, is_compressed
from trainers.pictures.image_formats import readable_suffixes, suffix_of

# Where a JSON beside an image has its class.
LABEL_KEYS = ("label", "cls", "class")
# What a file says of the class of an image: in which places, and what there.
Said = tuple[tuple[str, str], ...]
NAMES_NO_CLASS = ".json files that name no class"
REPLACED = "replaced by a later member of the same name"
_BLOCK = 512
# 4e00 may be the name of a character.
_FRACTION = re.compile(r"[-+]?((\d+\.\d*|\.\d+)(e[-+]?\d+)?|\d+e-\d+)", re.IGNORECASE)
_WHOLE = re.compile(r"[-+]?\d+")
# Of what is no class so many characters are shown.
_MOST_SHOWN = 40


@dataclass(slots=True)
class ShardMembers:
    """The images of a shard by their names, what each file of labels says by its name, and the members passed over.

    `said` has what several files say once, for all of them.
    """

    shard: str
    images: dict[str, TarMember] = field(default_factory=dict)
    labels: dict[str, Said] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    said: dict[Said, Said] = field(default_factory=dict)


def compressed(shard: str) -> UserError:
    """What is wrong with a shard that is compressed."""
    return UserError(
        f"data.root: {shard!r} is compressed, so its images cannot be read one by one: unpack it to a .tar."
    )


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
        if _is_compressed(shard):
            raise compressed(shard) from error
        reason = first_line(error).rstrip(".")
        raise UserError(f"data.root: shard {shard!r} cannot be read as a tar file: {reason}.") from error
    if last != bytes(_BLOCK):
        what = "it breaks off" if len(last) < _BLOCK else "a header is damaged"
        raise UserError(
            f"data.root: shard {shard!r} is not whole: {what} at byte {end:,}, after {len(found.images):,} images."
        )
    return found


def _is_compressed(shard: str) -> bool:
    try:
        with open(shard, "rb") as file:
            return is_compressed(file.read(FIRST_BYTES))
    except OSError:
        return False


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
        if name in found.labels:
            found.skipped.append((REPLACED, path))
        if said := _said(path, content.read()):
            found.labels[name] = found.said.setdefault(said, said)
        else:
            found.skipped.append((NAMES_NO_CLASS, path))
    else:
        suffix = suffix_of(base)
        found.skipped.append((f"{suffix} files" if suffix else "files without a suffix", path))


def _said(path: str, content: bytes) -> Said:
    """What a .cls or a .json says; nothing where that is an object without a class, as one of where an image is from.

    Raises UserError where it says what is no class.
    """
    is_json = path.endswith(".json")
    try:
        # Editors on Windows begin a text with a mark, which is no part of a name.
        text = content.decode("utf-8-sig").strip()
        value = json.loads(text) if is_json else text
    except ValueError as error:
        raise UserError(f"data.root: {path!r} cannot be read: {first_line(error)}.") from error
    places = {".json" if is_json else ".cls": value}
    if isinstance(value, dict):
        places = {f".json ({key!r})": value[key] for key in LABEL_KEYS if value.get(key) is not None}
    said = tuple((place, str(value)) for place, value in places.items() if _is_class(value))
    if len(said) < len(places):
        shown = next(repr(value) for value in places.values() if not _is_class(value))
        raise UserError(
            f"data.root: {path!r} names no class: it has {shown[:_MOST_SHOWN]}, expected one whole number or one name, "
            f"in a JSON object as one of {', '.join(LABEL_KEYS)}."
        )
    return said


def _is_class(value: object) -> bool:
    """Whether a value is a whole number or a name: no fraction, and neither several numbers nor several lines."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return False
    words = re.findall(r"[^][\s,;]+", str(value))
    if all(_WHOLE.fullmatch(word) or _FRACTION.fullmatch(word) for word in words):
        return len(words) == 1 and _FRACTION.fullmatch(words[0]) is None
    return len(str(value).splitlines()) == 1
