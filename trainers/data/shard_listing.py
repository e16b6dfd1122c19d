"""A data set in tar files: which there are, and what each split of it holds, as one scan found it."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from search_spaces.errors import UserError, first_line
from search_spaces.units import counted
from trainers.data.folder_layout import (
    Layout,
    check_class_names,
    check_same_classes,
    check_subfolders,
    split_of,
    splits_among,
)  # fmt: skip
from trainers.data.folder_listing import Folder, FolderListing, MissingDirectory
from trainers.data.nearby_folders import no_directory
from trainers.data.shard_labels import (
    SampleRule,
    check_folders,
    check_one_class_each,
    folders_inside,
    folders_of,
    sample_rule,
    samples_of,
)  # fmt: skip
from trainers.data.shard_scan import LABEL_KEYS, Said, ShardMembers, compressed, scan_shard
from trainers.data.skipped import Skipped
from trainers.data.tar_members import TarMember, shard_directory

SHARDS_OF_NO_SPLIT = "shards of no split"
TWICE = "images that another shard holds, too"
NO_IMAGES = "shards without images"
# A file system behind a network answers many at a time.
READERS = 8
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_NUMBERED = re.compile(r"(?P<stem>.*?)[-_.]?(?P<number>\d+)(?:-of-(?P<total>\d+))?")
_COMPRESSED = (".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")


@dataclass(frozen=True, slots=True)
class _Labelled:
    """The images of a split with the classes that they have, in the order of their shards, and where they are from.

    `said` has all that files beside images say of their classes, each with one of them; none where folders tell these.
    """

    images: list[tuple[str, TarMember]]
    source: str
    said: dict[Said, TarMember]


def list_shards(root: str) -> FolderListing:
    """Scans the shards in a directory, or those that a pattern names, or the one that is named.

    Raises UserError where one is missing or not whole, and where it is open which classes their images have.
    """
    directory, skipped = shard_directory(root), Skipped(shard_directory(root))
    if Path(directory).is_file():
        raise UserError(
            f"data.root: {root!r} is a file that is no shard: expected a directory of files that end in .tar, one of "
            "them, or a pattern as DIR/train-{000..099}.tar."
        )
    if not Path(directory).is_dir():
        raise MissingDirectory(f"data.root: {no_directory(directory)}")
    splits = _splits(directory, _named(root, directory, skipped), skipped)
    with ThreadPoolExecutor(READERS) as readers:
        scanned = {split: list(readers.map(scan_shard, shards)) for split, shards in splits.items()}
    rule = sample_rule([members for of_split in scanned.values() for members in of_split])
    labelled = {split: _labelled(members, rule, skipped) for split, members in scanned.items()}
    check_one_class_each({said: member for found in labelled.values() for said, member in found.said.items()})
    check_folders([found.images for found in labelled.values() if found.said])
    for found in labelled.values():
        if not found.said:
            check_subfolders(directory, folders_inside([member for _, member in found.images]))
    folders = {split: _folder(split, directory, found) for split, found in labelled.items()}
    first = next(iter(folders))
    for split, folder in folders.items():
        check_same_classes(first, folders[first].classes, split, folder.classes)
    shown = {
        split: f"{len(splits[split]):,} shard{'s' * (len(splits[split]) > 1)}, {found.source}"
        for split, found in labelled.items()
    }
    layout = Layout(shown.get("train"), shown.get("validation"), shown.get("test"), ())
    every = [shard for each in splits.values() for shard in each]
    read_at = {path: os.stat(path).st_mtime_ns for path in {directory, *map(os.path.dirname, every), *every}}
    return FolderListing(directory, layout, folders, skipped.noted(), read_at, shards=root)


def _named(root: str, directory: str, skipped: Skipped) -> list[str]:
    """The shards that `root` names, in order. Raises UserError where there are none, or one is missing."""
    if root != directory:
        shards = list(_expanded(root))
        missing = [shard for shard in shards if not os.path.isfile(shard)]
        if missing:
            raise _missing(missing[0], len(missing), len(shards))
        return shards
    shards, packed = [], []
    inner = [entry.path for entry in os.scandir(directory) if entry.is_dir() and not entry.name.startswith(".")]
    for folder in (directory, *sorted(inner)):
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if name.startswith("."):
                continue
            if name.endswith(".tar") and not os.path.isfile(path):
                what = "a folder" if os.path.isdir(path) else "a link to what is not there"
                raise UserError(f"data.root: {path!r} is {what}, and named as a shard: expected a tar file.")
            if os.path.islink(path) and not os.path.exists(path):
                raise UserError(f"data.root: {path!r} is a link to what is not there, which may be shards of a split.")
            if not os.path.isfile(path):
                continue
            if name.endswith(".tar"):
                shards.append(path)
            elif name.endswith(_COMPRESSED):
                packed.append(path)
            else:
                skipped.add_file(path)
    if packed:
        raise compressed(packed[0])
    if not shards:
        raise UserError(f"data.root: {directory!r} holds no shards: expected files that end in .tar.")
    return shards


def _expanded(pattern: str) -> Iterable[str]:
    """train-{000..099}.tar and {train,val}-{0..9}.tar, as a shell has it."""
    parts = _BRACES.split(pattern)
    choices = []
    for place, part in enumerate(parts):
        numbers = _RANGE.fullmatch(part) if place % 2 else None
        if numbers is not None:
            first, last = int(numbers[1]), int(numbers[2])
            width = max(map(len, numbers.groups())) if numbers[1].startswith("0") else 0
            choices.append([f"{number:0{width}}" for number in range(first, last + 1)])
        else:
            choices.append(part.split(",") if place % 2 else [part])
    return map("".join, product(*choices))


def _splits(directory: str, shards: Sequence[str], skipped: Skipped) -> dict[str, list[str]]:
    """The shards of each split, "" where nothing names one. Raises UserError where a number is missing among them."""
    found: dict[str, list[str]] = {}
    numbered: dict[tuple[str, str, str], list[int]] = {}
    for shard in shards:
        folder, name = os.path.split(shard)
        number = _NUMBERED.fullmatch(name.removesuffix(".tar"))
        stem = name.removesuffix(".tar") if number is None else number["stem"]
        split = split_of(stem) or (split_of(os.path.basename(folder)) if folder != directory else None)
        found.setdefault(split or "", []).append(shard)
        if number is not None:
            numbered.setdefault((folder, stem, number["total"] or ""), []).append(int(number["number"]))
    for (folder, stem, total), numbers in numbered.items():
        first = min(1, *numbers) if total else min(numbers)
        last = first + int(total) - 1 if total else max(numbers)
        missing = sorted(set(range(first, last + 1)) - set(numbers))
        if missing:
            # ImageNet's own archives are called by the numbers of their classes.
            of_classes = " If each is of a class, unpack them into folders of their names, for data=image_folder."
            raise UserError(
                f"data.root: {len(missing)} of the shards {os.path.join(folder, stem)!r} up to number {last} are "
                f"missing, such as number {missing[0]}.{of_classes if len(missing) > len(numbers) else ''}"
            )
    if "train" in found:
        for shard in found.pop("", []):
            skipped.add(SHARDS_OF_NO_SPLIT, shard)
    elif found.keys() == {""}:
        _check_not_of_splits(directory, shards)
    else:
        named = ", ".join(map(repr, sorted(filter(None, found))))
        raise UserError(f"data.root: {directory!r} has shards of {named} and none of 'train'.")
    return {split: found[split] for split in ("", "train", "validation", "test") if split in found}


def _check_not_of_splits(directory: str, shards: Sequence[str]) -> None:
    """Raises UserError where names that are no split's have one in them, as `imagenet-val-000000.tar` beside others."""
    named: dict[str, str] = {}
    for shard in shards:
        path = os.path.relpath(shard, directory).removesuffix(".tar")
        found = splits_among(path)
        named.setdefault(next(iter(found)) if len(found) == 1 else "", shard)
    if len(named) > 1 and "train" in named:
        listed = ", ".join(f"{os.path.relpath(shard, directory)!r}" for _, shard in sorted(named.items()))
        raise UserError(
            f"data.root: the shards in {directory!r} look like those of splits ({listed}): expected names that begin "
            "with train, val and test, or a pattern of one split, as DIR/NAME-{000..099}.tar."
        )


def _missing(shard: str, count: int, of: int) -> UserError:
    return UserError(f"data.root: shard {shard!r} is missing ({count} of {of} are not there).")


def _labelled(shards: Sequence[ShardMembers], rule: SampleRule, skipped: Skipped) -> _Labelled:
    """The images of a split with their classes. Raises UserError where it is open which one has."""
    for shard in shards:
        for what, path in shard.skipped:
            skipped.add(what, path)
        if not shard.images:
            skipped.add(NO_IMAGES, shard.shard)
    samples = _without_copies([sample for shard in shards for sample in samples_of(shard, rule)], skipped)
    images = [member for member, _ in samples]
    told = [(said, member) for member, said in samples if said is not None]
    if told:
        if len(told) < len(images):
            lacking = next(member for member, said in samples if said is None)
            raise UserError(
                f"data.root: image {lacking.name!r} in shard {lacking.shard!r} has neither a .cls nor a .json beside "
                f"it that names its class, as others have ({len(images) - len(told):,} of {len(images):,} images)."
            )
        return _Labelled(
            [(said[0][1], member) for said, member in told], "classes by .cls or .json", dict(reversed(told))
        )
    folders = folders_of(images)
    for folder, member in zip(folders, images, strict=True):
        if not folder:
            raise UserError(
                f"data.root: image {member.name!r} in shard {member.shard!r} has no class: expected it in a folder of "
                "its class, or a .cls or .json of its name beside it, a JSON object with one of "
                f"{', '.join(LABEL_KEYS)}."
            )
    return _Labelled(list(zip(folders, images, strict=True)), "classes by folder", {})


def _without_copies(
    samples: Sequence[tuple[TarMember, Said | None]], skipped: Skipped
) -> list[tuple[TarMember, Said | None]]:
    """The images less those of which another shard holds the same, by name and content; the first one stays.

    Raises UserError where of such an image another class is said.
    """
    of_name = Counter((member.name, member.size) for member, _ in samples)
    contents: dict[tuple[str, int], dict[bytes, tuple[TarMember, Said | None]]] = {}
    kept = []
    for member, said in samples:
        key = member.name, member.size
        if of_name[key] > 1:
            first, said_first = contents.setdefault(key, {}).setdefault(_digest(member), (member, said))
            if said is not None and said_first is not None and said[0][1] != said_first[0][1]:
                raise UserError(
                    f"data.root: image {member.name!r} is the same in the shards {first.shard!r} and {member.shard!r}, "
                    f"and of class {said_first[0][1]!r} in one, of {said[0][1]!r} in the other: expected the same."
                )
            if first is not member:
                skipped.add(TWICE, f"{member.shard}/{member.name}")
                continue
        kept.append((member, said))
    return kept


def _digest(member: TarMember) -> bytes:
    try:
        return hashlib.sha256(member.content()).digest()
    except OSError as error:
        raise UserError(f"data.root: shard {member.shard!r} cannot be read: {first_line(error)}.") from error


def _folder(split: str, directory: str, found: _Labelled) -> Folder:
    """The images, those of a class together. Classes that are numbers stand in the order of numbers.

    Raises UserError where there are fewer than two, or two are the same but for how they are written.
    """
    names = {label for label, _ in found.images}
    are_numbers = all(re.fullmatch(r"\d+", name) for name in names)
    classes = tuple(sorted(names, key=lambda name: (int(name), name)) if are_numbers else sorted(names))
    check_class_names(directory, classes, "label" if found.said else "folder")
    if len(classes) < 2:
        which = f"the shards of {split!r} in {directory!r}" if split else f"the shards in {directory!r}"
        raise UserError(f"data.root: {which} have {counted(len(classes), 'class', 'classes')}: expected at least two.")
    number = {name: place for place, name in enumerate(classes)}
    pairs = sorted(((number[label], member) for label, member in found.images), key=lambda pair: pair[0])
    return Folder(directory, classes, tuple(str(member) for _, member in pairs), tuple(label for label, _ in pairs))
