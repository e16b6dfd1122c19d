"""What a data set is, as plain data: how it is read, and all that a network has to know of it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search_spaces.architecture import Architecture
from search_spaces.cost import Cost, cost, part_params
from search_spaces.errors import UserError, unknown_name
from search_spaces.json_fields import read_dataclass
from search_spaces.overrides import PATH

# Seeds are whole numbers below this, as torch takes them.
MOST_SEEDS = 2**63
# The data sets that are image files, in folders or in tar files.
TAR_SHARDS = "tar_shards"
OF_FILES = ("image_folder", "imagenet", TAR_SHARDS)
# Those that come with a package.
OF_NO_DIRECTORY = ("digits", "cluttered_digits")


@dataclass(frozen=True, slots=True)
class DataConfig:
    """A data set, one of `DATA_DEFAULTS`, and how it is read.

    `root` is the directory that holds it (None where there is none to name), `image_size` the side in pixels,
    `validation_fraction` the share of the training split that is set apart, stratified, by `split_seed`, and
    `loader_workers` the number of processes that read images (0: none but this one; data sets held in memory need
    none). Of images in folders, training images with a longer one are first resized to a shorter side of `resize_first`
    pixels (0: none are), and `cache` is the directory in which decoded images are kept, if any. Raises UserError where
    a value is out of range.
    """

    name: str
    root: str | None = field(metadata=PATH)
    image_size: int
    validation_fraction: float
    split_seed: int = 0
    loader_workers: int = 0
    resize_first: int = 0
    cache: str | None = field(default=None, metadata=PATH)

    def __post_init__(self) -> None:
        self._check("image_size", 8 <= self.image_size <= 4096, "8 to 4096 pixels")
        self._check("validation_fraction", 0 < self.validation_fraction < 1, "above 0 and below 1")
        self._check("split_seed", 0 <= self.split_seed < MOST_SEEDS, f"0 to {MOST_SEEDS - 1:,}")
        self._check("loader_workers", 0 <= self.loader_workers <= 1024, "0 to 1,024 processes")
        right = self.resize_first == 0 or 8 <= self.resize_first <= 65_536
        self._check("resize_first", right, "8 to 65,536 pixels, or 0")
        of_files = self.name in OF_FILES or (not self.resize_first and self.cache is None)
        self._check("name", of_files, f"one of {', '.join(OF_FILES)} for data.resize_first and data.cache")

    def _check(self, name: str, right: bool, expected: str) -> None:
        if not right:
            raise UserError(f"data.{name} is {getattr(self, name)!r}: expected {expected}.")

    def located(self) -> "DataConfig":
        """The same with directories seen from where the user stands: workers run, and a training goes on, elsewhere."""
        root, cache = (None if place is None else str(Path(place).resolve()) for place in (self.root, self.cache))
        return dataclasses.replace(self, root=root, cache=cache)

    def check_root(self) -> None:
        """Raises UserError where a directory was named and the images are in none."""
        if self.root is not None and self.name in OF_NO_DIRECTORY:
            raise UserError(
                f"data.root is {self.root!r}, and the images of data={self.name} come with scikit-learn: expected no "
                f"data.root, or data=image_folder, data={TAR_SHARDS} or data=imagenet, too, for the images there."
            )

    def to_json(self) -> dict[str, Any]:
        """The fields; of those that files of earlier code lack only what is set."""
        fields = dataclasses.asdict(self).items()
        return {name: value for name, value in fields if name not in ADDED_FIELDS or value != ADDED_FIELDS[name]}

    @classmethod
    def from_json(cls, data: object) -> "DataConfig":
        """The configuration that `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        config = read_dataclass(cls, ADDED_FIELDS | dict(data) if isinstance(data, Mapping) else data, "data")
        if config.name not in DATA_DEFAULTS:
            raise unknown_name("data set", config.name, DATA_DEFAULTS)
        return config


# The fields that were added in time, and what stands for them in files that lack them.
ADDED_FIELDS: dict[str, Any] = {"resize_first": 0, "cache": None}

# The data sets by name, and how each is read unless the settings of a search or of a full training say otherwise.
DATA_DEFAULTS: dict[str, DataConfig] = {
    "digits": DataConfig("digits", None, image_size=16, validation_fraction=0.25),
    "cluttered_digits": DataConfig("cluttered_digits", None, image_size=16, validation_fraction=0.25),
    "cifar10": DataConfig("cifar10", "data/", image_size=32, validation_fraction=0.1),
    "cifar100": DataConfig("cifar100", "data/", image_size=32, validation_fraction=0.1),
    "image_folder": DataConfig("image_folder", None, image_size=224, validation_fraction=0.15, loader_workers=2),
    TAR_SHARDS: DataConfig(TAR_SHARDS, None, image_size=224, validation_fraction=0.15, loader_workers=2),
    # The paper tunes on 4 % of the training images.
    "imagenet": DataConfig("imagenet", None, image_size=224, validation_fraction=0.04, loader_workers=8),
}


@dataclass(frozen=True, slots=True)
class KnownFiles:
    """The path of the index of a data set's files, if there is one, and the digest of the fingerprint of the data."""

    index: str
    digest: str

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: object) -> "KnownFiles":
        """What `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        return read_dataclass(cls, data, "known_files")


@dataclass(frozen=True, slots=True)
class DataSummary:
    """What a data set holds: all that a network has to know of it. `test_images` is 0 where there is no test split."""

    name: str
    classes: int
    in_channels: int
    image_size: int
    train_images: int
    validation_images: int
    test_images: int

    def cost(self, architecture: Architecture) -> Cost:
        """FLOPs and parameters of an architecture for these images and classes."""
        return cost(architecture, image_size=self.image_size, in_channels=self.in_channels, classes=self.classes)

    def part_params(self, architecture: Architecture) -> dict[str, int]:
        """The parameters of an architecture by part, as `search_spaces.inheritance` names them."""
        return part_params(architecture, image_size=self.image_size, in_channels=self.in_channels, classes=self.classes)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: object) -> "DataSummary":
        """The summary that `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        return read_dataclass(cls, data, "data_summary")
