"""Which files of a shard are one sample, and what those beside an image say of its class. Pure.

Nothing is guessed: where files say two things of one image, or it is open of which image they say it, that is an error.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from search_spaces.errors import UserError
from trainers.data.shard_scan import Said, ShardMembers
from trainers.data.tar_members import TarMember
from trainers.pictures.image_formats import suffix_of

# What the files of one sample share, by the name of one of them.
SampleRule = Callable[[str], str]
# So many members of a sample are named.
_MOST_MEMBERS = 4


def up_to_first_dot(name: str) -> str:
    """The path up to the first dot of its last part, as WebDataset has it."""
    folder, base = os.path.split(name)
    return os.path.join(folder, base.partition(".")[0])


def up_to_last_dot(name: str) -> str:
    """The path without its suffix."""
    return name.rpartition(".")[0]


def sample_rule(shards: Sequence[ShardMembers]) -> SampleRule:
    """What the files of one sample share, in all shards of a data set: WebDataset's rule, if that leaves nothing open.

    Where several images, or several labels, would be one sample by it, as `v0.1.png` and `v0.2.png`, it is the path
    without its suffix, if each image has a label of its own then. Raises UserError where one has not.
    """
    with_labels = [shard for shard in shards if shard.labels]
    several = next(filter(None, map(_several_in_one, with_labels)), None)
    if several is None:
        return up_to_first_dot
    lacking = next(filter(None, map(_without_own_label, with_labels)), None)
    if lacking is None:
        return up_to_last_dot
    raise UserError(
        f"data.root: {several}: expected one image and one .cls or .json a sample, and no masks, or beside each image "
        f"one of its own name up to the last dot, which {lacking} has not."
    )


def _several_in_one(shard: ShardMembers) -> str | None:
    """The first sample by WebDataset's rule with several images for a label, or several labels of a kind, in words."""
    samples: dict[str, list[str]] = {}
    for name in (*shard.images, *shard.labels):
        samples.setdefault(up_to_first_dot(name), []).append(name)
    for key, names in samples.items():
        kinds = Counter("image" if name in shard.images else suffix_of(name) for name in names)
        if "image" in kinds and len(kinds) > 1 and max(kinds.values()) > 1:
            more = f" and {len(names) - _MOST_MEMBERS:,} more" if len(names) > _MOST_MEMBERS else ""
            listed = ", ".join(map(repr, sorted(names)[:_MOST_MEMBERS])) + more
            return f"{listed} in shard {shard.shard!r} are one sample by their names up to the first dot, {key!r}"
    return None


def _without_own_label(shard: ShardMembers) -> str | None:
    """The first image that has no label of its name up to the last dot, or shares that with another, in words."""
    stems, labelled = Counter(map(up_to_last_dot, shard.images)), set(map(up_to_last_dot, shard.labels))
    for name in shard.images:
        stem = up_to_last_dot(name)
        if stem not in labelled or stems[stem] > 1:
            return f"{name!r} in shard {shard.shard!r}"
    return None


def samples_of(shard: ShardMembers, rule: SampleRule) -> list[tuple[TarMember, Said | None]]:
    """The images of a shard, each with what the files of its sample say of its class, a .cls before a .json."""
    said: dict[str, Said] = {}
    for name in sorted(shard.labels, key=suffix_of):
        said[rule(name)] = said.get(rule(name), ()) + shard.labels[name]
    return [(member, said.get(rule(name))) for name, member in shard.images.items()]


def check_one_class_each(examples: Mapping[Said, TarMember]) -> None:
    """Raises UserError where two places name different classes of an image, and not throughout each for the other.

    `examples` has all that is said of images of a data set, and an image of which it is said. A number in one place and
    a name in the other are of one class, if each number always has the same name, each name its number, and no image
    the name alone. A .cls and a .json may have no name in common that is of different classes in them.
    """
    places, names = {said[0][0] for said in examples}, {said[0][1] for said in examples}
    meant: dict[tuple[str, str, str], str] = {}
    for said, member in examples.items():
        (place, name), *others = said
        for other_place, other in others:
            # Of images that have the other name alone nobody would know that it is this one.
            is_taken = other_place in places or (place == ".cls" and other in names)
            translated = meant.setdefault((place, name, other_place), other)
            back = meant.setdefault((other_place, other, place), name)
            if translated != other or back != name or (other != name and is_taken):
                raise UserError(
                    f"data.root: image {member.name!r} in shard {member.shard!r} is of class {name!r} by its {place} "
                    f"and of {other!r} by its {other_place}: expected the same, or a number and a name of every image, "
                    "always the same for each other."
                )


def folders_of(images: Sequence[TarMember]) -> list[str]:
    """The folder of each image, the first below what all have in common; "" where it lies there itself."""
    return [folders[0] if folders else "" for folders in _folders_below(images)]


def folders_inside(images: Sequence[TarMember]) -> dict[str, set[str]]:
    """The folders that hold images below the folder of each class, by their paths from there; "" is itself."""
    found: dict[str, set[str]] = {}
    for folder, *inside in _folders_below(images):
        found.setdefault(folder, set()).add(os.sep.join(inside))
    return found


def _folders_below(images: Sequence[TarMember]) -> list[list[str]]:
    """The folders in which each image lies, below what all have in common."""
    above = os.path.commonpath([os.path.dirname(member.name) for member in images]) if images else ""
    beyond = len(os.path.join(above, ""))
    return [member.name[beyond:].split(os.sep)[:-1] for member in images]


def check_folders(splits: Sequence[Sequence[tuple[str, TarMember]]]) -> None:
    """Raises UserError where images that have their classes from files lie in folders that stand for other classes.

    Folders do where one has the name of a class, or where most images in each are of one class and no two folders of
    the same. That each of them holds images of any class, as parts of a set do, says nothing.
    """
    first: dict[tuple[str, str], TarMember] = {}
    counts: dict[str, Counter[str]] = {}
    for images in splits:
        folders = folders_of([member for _, member in images])
        if "" not in folders:
            for folder, (label, member) in zip(folders, images, strict=True):
                first.setdefault((folder, label), member)
                counts.setdefault(folder, Counter())[label] += 1
    labels = {label for _, label in first}
    if len(first) == len(counts) == len(labels):
        return
    usual = {folder: of_folder.most_common(1)[0] for folder, of_folder in counts.items()}
    meant = {folder: folder for folder in counts if folder in labels}
    are_classes = len({label for label, _ in usual.values()}) == len(usual) and all(
        2 * count > counts[folder].total() for folder, (_, count) in usual.items()
    )
    # What lies in one folder alone is a finer class, as breeds are below animals.
    if not meant and are_classes and len(first) > len(labels):
        meant = {folder: label for folder, (label, _) in usual.items()}
    for (folder, label), member in first.items():
        if meant.get(folder, label) != label:
            raise UserError(
                f"data.root: image {member.name!r} in shard {member.shard!r} lies in folder {folder!r} and is of class "
                f"{label!r} by its .cls or .json, while the folder stands for {meant[folder]!r}: expected the same."
            )
