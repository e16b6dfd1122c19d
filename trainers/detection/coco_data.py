"""The images in COCO's format that a detector is trained and evaluated on: found, checked, and split.

An image is turned as its EXIF orientation says only where its annotations were made for that: where the width and
height in the file of annotations are those of the turned image and not of the stored one. Where both are alike, as of
square images, it is taken as it is stored, as torchvision and pycocotools do, and counted.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search_spaces.errors import UserError
from search_spaces.json_fields import read_dataclass
from search_spaces.overrides import PATH
from search_spaces.units import counted
from trainers.data.config import MOST_SEEDS
from trainers.data.content_sample import content_digests, file_sizes
from trainers.data.decoding import size_and_orientation
from trainers.data.fingerprint import UNREADABLE
from trainers.detection.coco_annotations import AnnotatedImage, Annotations, read_annotations
from trainers.detection.coco_layout import InstancesFile, find_instances

# The EXIF orientations that change width and height.
_LYING = (5, 6, 7, 8)
# So many files are named where they are missing.
_NAMED = 3
# Said where every box that reaches out of its image would lie inside, were it given by its corners.
_AS_CORNERS = ", and these look like left, top, right and bottom"


@dataclass(frozen=True, slots=True)
class CocoConfig:
    """Where the images are, and how they are read.

    A detector sees squares of `image_size` pixels, into which an image is fitted whole. Where the folder has
    annotations of validation images of its own, `validation_fraction` and `split_seed` are not used. `loader_workers`
    is the number of processes that read images. Raises UserError where a value is out of range.
    """

    root: str | None = field(default=None, metadata=PATH)
    image_size: int = 640
    validation_fraction: float = 0.1
    split_seed: int = 0
    loader_workers: int = 2

    def __post_init__(self) -> None:
        self._check("image_size", 32 <= self.image_size <= 4096, "32 to 4096 pixels")
        self._check("validation_fraction", 0 < self.validation_fraction < 1, "above 0 and below 1")
        self._check("split_seed", 0 <= self.split_seed < MOST_SEEDS, f"0 to {MOST_SEEDS - 1:,}")
        self._check("loader_workers", 0 <= self.loader_workers <= 1024, "0 to 1,024 processes")

    def _check(self, name: str, right: bool, expected: str) -> None:
        if not right:
            raise UserError(f"data.{name} is {getattr(self, name)!r}: expected {expected}.")

    @property
    def directory(self) -> Path:
        """The folder. Raises UserError where none was named."""
        if self.root is None:
            raise UserError("data.root is missing: expected data.root=DIR, a folder in COCO's format.")
        return Path(self.root)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: object) -> "CocoConfig":
        """The configuration that `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        return read_dataclass(cls, data, "data")


@dataclass(frozen=True, slots=True)
class CocoImage:
    """An image, its file, and whether it is turned as its EXIF orientation says."""

    annotated: AnnotatedImage
    file: str
    turned: bool


@dataclass(frozen=True, slots=True)
class CocoData:
    """What a detector is trained on, `train`, and what it is evaluated on, `validation`, with its annotations, `truth`.

    `digest` is that of the files of annotations, `notes` is what is to be said of the images.
    """

    train: tuple[CocoImage, ...]
    validation: tuple[CocoImage, ...]
    truth: tuple[dict[str, Any], ...]
    category_ids: tuple[int, ...]
    classes: tuple[str, ...]
    digest: str
    notes: tuple[str, ...]


def examine_coco(config: CocoConfig) -> CocoData:
    """Finds and checks the images and annotations below `data.root`, by the header of each image.

    Raises UserError where an image is missing or cannot be read, has another size than its annotations say, or nothing
    is left to train on or to evaluate.
    """
    root = config.directory
    training, validation = find_instances(root)
    annotations = read_annotations(training.path)
    files = [training.path]
    images, notes = _located(annotations, training)
    truth = annotations.truth
    if validation is None:
        train, held_out = _split(images, config)
        notes.append(f"no validation images of their own: {len(held_out)} of {len(images)} held out")
    else:
        files.append(validation.path)
        others = read_annotations(validation.path)
        _check_same_categories(annotations, others)
        train, (held_out, more) = images, _located(others, validation)
        truth = others.truth
        notes += more
    if again := _again(train, held_out):
        notes.append(
            f"{counted(len(again), 'validation image has', 'validation images have')} the contents of one that is "
            f"trained on, so that what is measured comes out too high ({again[0].annotated.file_name})"
        )
    with_boxes = tuple(image for image in train if image.annotated.boxes)
    if len(with_boxes) < len(train):
        notes.append(f"{counted(len(train) - len(with_boxes), 'image')} without boxes not trained on")
    ids = {image.annotated.id for image in held_out}
    truth = tuple(each for each in truth if each["image_id"] in ids)
    if not with_boxes:
        why = f": {'; '.join(notes)}" if notes else ""
        raise UserError(f"{str(training.path)!r} has no box to train on{why}.")
    if not any(image.annotated.boxes for image in held_out):
        raise UserError(f"the {len(held_out)} validation images in {str(root)!r} have no box to find.")
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.read_bytes())
    category_ids = tuple(annotations.category_ids)
    classes = tuple(annotations.categories[category] for category in category_ids)
    return CocoData(with_boxes, tuple(held_out), truth, category_ids, classes, digest.hexdigest(), tuple(notes))


def _located(annotations: Annotations, place: InstancesFile) -> tuple[tuple[CocoImage, ...], list[str]]:
    """The images of a file of annotations on the disk, and what is to be said of them."""
    if not annotations.images:
        raise UserError(f"{str(annotations.path)!r} has no images.")
    first = annotations.images[0].file_name
    directory = next((each for each in place.image_directories if (each / first).exists()), place.image_directories[0])
    missing = [image.file_name for image in annotations.images if not (directory / image.file_name).is_file()]
    if missing:
        more = ", …" if len(missing) > _NAMED else ""
        raise UserError(
            f"{len(missing)} of the {len(annotations.images)} images of {str(annotations.path)!r} are not in "
            f"{str(directory)!r}: {', '.join(map(repr, missing[:_NAMED]))}{more}."
        )
    found, unsettled = [], 0
    for image in annotations.images:
        file = str(directory / image.file_name)
        turned, is_settled = _is_turned(image, file)
        unsettled += not is_settled
        found.append(CocoImage(image, file, turned))
    notes = [f"{counted(count, *what)} not trained on" for what, count in sorted(annotations.left_out.items())]
    if cut_off := annotations.cut_off:
        notes.append(
            f"{counted(len(cut_off), 'box reaches', 'boxes reach')} out of the image, beyond which nothing counts "
            f"(annotation {cut_off[0]}): COCO's are left, top, width and height"
            f"{_AS_CORNERS if annotations.corners else ''}"
        )
    if turns := sum(image.turned for image in found):
        notes.append(f"{counted(turns, 'image')} turned as EXIF says, as the annotations are")
    if unsettled:
        notes.append(f"{counted(unsettled, 'image')} with an EXIF orientation taken as stored: sizes do not tell")
    return tuple(found), [f"{annotations.path.name}: {note}" for note in notes]


def _is_turned(image: AnnotatedImage, file: str) -> tuple[bool, bool]:
    """Whether annotations are of the image as EXIF turns it, and whether that can be told."""
    (width, height), orientation = size_and_orientation(file)
    said = image.width, image.height
    if orientation in _LYING and width != height and said == (height, width):
        return True, True
    if said != (width, height):
        raise UserError(
            f"image {file!r} is {width} × {height} pixels, and its annotations are for {said[0]} × {said[1]}."
        )
    return False, orientation == 1 or (orientation in _LYING and width != height)


def _split(images: Sequence[CocoImage], config: CocoConfig) -> tuple[tuple[CocoImage, ...], tuple[CocoImage, ...]]:
    """The images that stay and those that are held out, by a hash of the seed and an image's id."""

    def place(image: CocoImage) -> bytes:
        return hashlib.sha256(f"validation {config.split_seed}:{image.annotated.id}".encode()).digest()

    count = max(1, round(config.validation_fraction * len(images)))
    held_out = {image.annotated.id for image in sorted(images, key=place)[:count]}
    kept = tuple(image for image in images if image.annotated.id not in held_out)
    return kept, tuple(image for image in images if image.annotated.id in held_out)


def _again(train: Sequence[CocoImage], held_out: Sequence[CocoImage]) -> list[CocoImage]:
    """The held-out images whose files have the size and the contents of one that is trained on."""
    held_out_sizes = file_sizes([image.file for image in held_out])
    files = [image.file for image in train]
    sizes = file_sizes(files)
    both = set(sizes) & set(held_out_sizes)
    known = set(content_digests([file for file, size in zip(files, sizes, strict=True) if size in both], whole=False))
    known.discard(UNREADABLE)
    suspects = [image for image, size in zip(held_out, held_out_sizes, strict=True) if size in both]
    digests = content_digests([image.file for image in suspects], whole=False)
    return [image for image, digest in zip(suspects, digests, strict=True) if digest in known]


def _check_same_categories(training: Annotations, validation: Annotations) -> None:
    for category, name in validation.categories.items():
        if training.categories.get(category) != name:
            other = training.categories.get(category)
            known = "lists no such category" if other is None else f"calls it {other!r}"
            raise UserError(
                f"category {category} is {name!r} in {str(validation.path)!r}, and {str(training.path)!r} {known}."
            )
