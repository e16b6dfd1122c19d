"""Where a folder in COCO's format has its annotations and its images, as people and tools lay it out.

DIR/annotations/instances_train2017.json, DIR/annotations/instances_val2017.json   with DIR/train2017/, DIR/val2017/,
                                                                                     or both in DIR/images/
DIR/train/_annotations.coco.json, DIR/valid/_annotations.coco.json                 each beside its images
DIR/instances.json, or DIR/annotations/instances.json                              with DIR/images/, or DIR itself
"""

from dataclasses import dataclass
from pathlib import Path

from search_spaces.errors import UserError
from search_spaces.paths import did_you_mean

_EXPECTED = (
    "expected annotations/instances_train*.json and annotations/instances_val*.json, train/_annotations.coco.json and "
    "valid/_annotations.coco.json, or instances.json"
)
_EXPORTED = "_annotations.coco.json"
_VALIDATION_FOLDERS = ("valid", "val", "validation")


@dataclass(frozen=True, slots=True)
class InstancesFile:
    """A JSON file of annotations, and the directories that its images may be in, the likeliest first."""

    path: Path
    image_directories: tuple[Path, ...]


def find_instances(root: Path) -> tuple[InstancesFile, InstancesFile | None]:
    """The annotations of the training images, and of the validation images where they have a file of their own.

    Raises UserError where there are none, or where they can be read in two ways.
    """
    if not root.is_dir():
        raise UserError(
            f"data.root is {str(root)!r}: expected a directory with images and their annotations."
            f"{did_you_mean(root, Path.is_dir)}"
        )
    ways = [way for way in (_published(root), _exported(root), _single(root)) if way is not None]
    if not ways:
        raise UserError(f"no annotations in {str(root)!r}: {_EXPECTED}.")
    if len(ways) > 1:
        found = " and ".join(repr(str(way[0].path.relative_to(root))) for way in ways)
        raise UserError(f"{str(root)!r} can be read in two ways, by {found}: expected one of them.")
    return ways[0]


def _published(root: Path) -> tuple[InstancesFile, InstancesFile | None] | None:
    training = _only(root, "instances_train*.json")
    validation = _only(root, "instances_val*.json")
    if training is None and validation is None:
        return None
    if training is None or validation is None:
        there, missing = (validation, "train") if training is None else (training, "val")
        raise UserError(
            f"{str(root)!r} has {there.name if there else ''!r} and no annotations/instances_{missing}*.json: "
            "expected both."
        )
    return _with_images(root, training), _with_images(root, validation)


def _only(root: Path, pattern: str) -> Path | None:
    found = sorted((root / "annotations").glob(pattern))
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise UserError(f"{str(root / 'annotations')!r} holds {names}: expected one {pattern}.")
    return found[0] if found else None


def _with_images(root: Path, path: Path) -> InstancesFile:
    split = path.stem.removeprefix("instances_")
    name = "train" if split.startswith("train") else "val"
    places = (root / split, root / "images" / split, root / name, root / "images" / name, root / "images", root)
    return InstancesFile(path, tuple(dict.fromkeys(places)))


def _exported(root: Path) -> tuple[InstancesFile, InstancesFile | None] | None:
    training = root / "train" / _EXPORTED
    if not training.exists():
        return None
    found = [root / name / _EXPORTED for name in _VALIDATION_FOLDERS if (root / name / _EXPORTED).exists()]
    if len(found) > 1:
        raise UserError(f"{str(root)!r} has annotations in {' and '.join(path.parent.name for path in found)}.")
    held_out = InstancesFile(found[0], (found[0].parent,)) if found else None
    return InstancesFile(training, (training.parent,)), held_out


def _single(root: Path) -> tuple[InstancesFile, InstancesFile | None] | None:
    candidates = (root / "instances.json", root / "annotations" / "instances.json")
    found = [path for path in candidates if path.exists()]
    if len(found) > 1:
        raise UserError(f"{str(root)!r} has instances.json and annotations/instances.json: expected one of them.")
    return (InstancesFile(found[0], (root / "images", root)), None) if found else None
