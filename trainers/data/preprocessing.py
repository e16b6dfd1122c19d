"""How a picture becomes a network's input, as plain data, and what the classes of a data set are called."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from search_spaces.errors import UserError, unknown_name
from search_spaces.json_fields import read_dataclass
from trainers.data.config import OF_FILES, DataSummary
from trainers.data.digits_source import CLASSES
from trainers.data.normalisation import NORMALISATION

# Images in folders are resized to this multiple of the side that is then cut from their middle.
EVALUATION_MARGIN = 256 / 224
_CIFAR100 = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
    castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
    elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
    man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
    pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
    skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
    tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
# The classes of the data sets that always have the same, in the order of their labels.
KNOWN_CLASSES: dict[str, tuple[str, ...]] = {
    "digits": CLASSES,
    "cluttered_digits": CLASSES,
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    "cifar100": tuple(_CIFAR100.split()),
}


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What is done to a picture before a network sees it, the same as to the images that it was evaluated on.

    Of `channels` 1 is grey, by ITU-R 601 luma, and 3 are red, green and blue. Its shorter side is resized to
    `resize_shorter_side` pixels by `interpolation`, with antialiasing, and a square of `size` pixels is cut from where
    `crop` says. Of values in 0 to 1 each channel's `mean` is taken and they are divided by its standard deviation,
    `std`. Raises UserError where a value is none of these.
    """

    channels: int
    size: int
    resize_shorter_side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bilinear"
    crop: str = "center"

    def __post_init__(self) -> None:
        self._check("channels", self.channels in (1, 3), "1 or 3")
        self._check("size", self.size >= 1, "1 pixel or more")
        self._check("resize_shorter_side", self.resize_shorter_side >= self.size, f"at least the size, {self.size}")
        self._check("mean", len(self.mean) == self.channels, f"a number for each of {self.channels} channels")
        self._check("std", len(self.std) == self.channels and min(self.std) > 0, "a number above 0 for each channel")
        self._check("interpolation", self.interpolation == "bilinear", "'bilinear'")
        self._check("crop", self.crop == "center", "'center'")

    def _check(self, name: str, right: bool, expected: str) -> None:
        if not right:
            raise UserError(f"preprocessing.{name} is {getattr(self, name)!r}: expected {expected}.")

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, data: object) -> "Preprocessing":
        """The rule that `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        return read_dataclass(cls, data, "preprocessing")


def preprocessing_of(summary: DataSummary) -> Preprocessing:
    """What is done to the images of a data set when a network is evaluated on them.

    Where they are of one size and square, as in the data sets that are held in memory, nothing is cut off. Raises
    UserError where no data set is called so, as in a file that somebody has edited.
    """
    if summary.name not in NORMALISATION:
        raise unknown_name("data set", summary.name, NORMALISATION)
    mean, std = NORMALISATION[summary.name]
    size = summary.image_size
    resize = folder_resize(size) if summary.name in OF_FILES else size
    return Preprocessing(summary.in_channels, size, resize, mean, std)


def folder_resize(size: int) -> int:
    """To how many pixels the shorter side of an image in a folder is resized before a square of `size` is cut."""
    return round(size * EVALUATION_MARGIN)
