"""The settings of a detector's training: a design, images in COCO's format, a recipe, a seed."""

import dataclasses
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces.architecture import Architecture
from search_spaces.errors import UserError, unknown_name
from search_spaces.extras import install_command
from search_spaces.json_fields import field_kinds
from search_spaces.overrides import read_override, with_overrides
from trainers.bundle.provenance import PaperProvenance, Provenance
from trainers.data.config import MOST_SEEDS
from trainers.data.normalisation import FOLDER_MEAN, FOLDER_STD
from trainers.detection.coco_data import CocoConfig
from trainers.detection.design import RETINANET, check_parts
from trainers.full.conduct import Conduct
from trainers.full.config_text import yaml_text
from trainers.recipe import NOT_COMPILED, Recipe, check_optimizer
from trainers.recipe_files import named_recipe
from trainers.schedule import scaled_learning_rate

SETTINGS_FORMAT = "detector-training/1"
RECIPE = "coco"
# The fields of a recipe that have a meaning for whole images alone, and what they are where nothing is asked for.
_OF_CLASSES: dict[str, Any] = {
    "label_smoothing": 0.0, "policy": "none", "random_erasing": 0.0, "mixup": 0.0, "cutmix": 0.0, "repeats": 1,
    "train_image_size": 0, "first_image_size": 0,
}  # fmt: skip
_AUGMENTS = ("none", "flip_crop")


@dataclass(frozen=True, slots=True)
class Backbone:
    """Whose network a detector stands on: its architecture, and the images that it was made for.

    `bundle` is the directory whose weights it starts from, and `weights_digest` their SHA-256; None of both for none.
    `provenance` is where the network comes from, as its bundle says.
    """

    architecture: Architecture
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    bundle: Path | None = None
    weights_digest: str | None = None
    provenance: Provenance | PaperProvenance | None = None


# The section of a file of settings that has what flags say on the command line, and what holds where nothing does.
PARTS = "detector"
DEFAULT_PARTS = {"model": RETINANET, "pyramid": "convolution", "head": "convolution"}

# What the paper's models take.
PAPER_INPUT: dict[str, Any] = {"image_size": 224, "mean": FOLDER_MEAN, "std": FOLDER_STD}


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """Everything that decides the outcome of a detector's training, and its conduct, which does not.

    `unscaled` is the recipe's batch and learning rate where that was scaled with another batch.
    """

    backbone: Backbone
    model: str
    pyramid: str
    head: str
    data: CocoConfig
    recipe: Recipe
    seed: int
    conduct: Conduct
    unscaled: tuple[int, float] | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "format": SETTINGS_FORMAT,
            "architecture": self.backbone.architecture.to_json(),
            "initial_weights": self.backbone.weights_digest,
            "stem_image_size": self.backbone.image_size,
            **{name: getattr(self, name) for name in ("model", "pyramid", "head", "seed")},
            "data": self.data.to_json(),
            "recipe": self.recipe.to_json(),
        }


def check_pycocotools() -> None:
    """Raises UserError where pycocotools is not installed."""
    if importlib.util.find_spec("pycocotools") is None:
        raise UserError(
            f"detectors need the package 'pycocotools', which is not installed: {install_command('detection')}"
        )


def chosen_parts(flags: Mapping[str, str | None], of_file: Mapping[str, Any]) -> tuple[str, str, str]:
    """Model, pyramid and head: what a flag says, else a file of settings, else the default.

    Raises UserError where the file has others.
    """
    for name in of_file:
        if name not in DEFAULT_PARTS:
            raise unknown_name(f"key of {PARTS}", name, DEFAULT_PARTS)
    model, pyramid, head = (
        str(of_file.get(name, default)) if flags[name] is None else str(flags[name])
        for name, default in DEFAULT_PARTS.items()
    )
    return model, pyramid, head


def detector_config_text(settings: DetectorSettings) -> str:
    """Every setting of a detector's training as YAML, which `--config` takes."""
    parts = {name: getattr(settings, name) for name in DEFAULT_PARTS}
    heading = "# Every setting of a detector: python trainers/train_detector.py BUNDLE --config FILE [SETTING=VALUE …]"
    sections = {
        PARTS: parts,
        "data": settings.data.to_json(),
        "recipe": dataclasses.asdict(settings.recipe),
        "conduct": dataclasses.asdict(settings.conduct),
        "seed": settings.seed,
    }
    return yaml_text(heading, sections)


def detector_settings(
    backbone: Backbone, model: str, pyramid: str, head: str, overrides: Sequence[str], seed: int
) -> DetectorSettings:
    """The settings for a backbone and overrides as `data.root=DIR` or `recipe.epochs=5`.

    With another batch the learning rate changes, too, unless it is given. Raises UserError on an override that is none,
    and on what no detector's recipe can ask for.
    """
    if not 0 <= seed < MOST_SEEDS:
        raise UserError(f"--seed is {seed}: expected a whole number from 0 to {MOST_SEEDS - 1:,}.")
    check_parts(model, pyramid, head)
    read = [read_override(text, "data.root=DIR or recipe.epochs=5") for text in overrides]
    names = [override.text for override in read if override.key == "recipe"]
    recipe = named_recipe(names[-1] if names else RECIPE)
    changes = [override for override in read if override.key != "recipe"]
    values = with_overrides(
        {"data": CocoConfig().to_json(), "recipe": dataclasses.asdict(recipe)},
        [change for change in changes if change.key.removeprefix("recipe.") not in field_kinds(Conduct)],
        {"data": CocoConfig, "recipe": Recipe},
    )
    conducted = [change for change in changes if change.key.removeprefix("recipe.") in field_kinds(Conduct)]
    conduct = with_overrides({"recipe": dataclasses.asdict(Conduct())}, conducted, {"recipe": Conduct})["recipe"]
    rate_given = any(change.key == "recipe.learning_rate" for change in changes)
    check_optimizer(dataclasses.asdict(recipe), values["recipe"], rate_given=rate_given)
    wanted, unscaled = Recipe(**values["recipe"]), None
    if wanted.batch_size != recipe.batch_size and not rate_given:
        unscaled = recipe.batch_size, recipe.learning_rate
        wanted = dataclasses.replace(wanted, learning_rate=scaled_learning_rate(recipe, wanted.batch_size))
    _check_recipe(wanted, Conduct(**conduct))
    data = CocoConfig(**values["data"])
    data = dataclasses.replace(data, root=str(data.directory.resolve()))
    return DetectorSettings(backbone, model, pyramid, head, data, wanted, seed, Conduct(**conduct), unscaled)


def _check_recipe(recipe: Recipe, conduct: Conduct) -> None:
    for name, nothing in _OF_CLASSES.items():
        if getattr(recipe, name) != nothing:
            raise UserError(f"recipe.{name} is {getattr(recipe, name)!r}: expected {nothing!r} for a detector.")
    if conduct.compile != NOT_COMPILED:
        raise UserError(f"recipe.compile is {conduct.compile!r}: expected {NOT_COMPILED!r} for a detector.")
    if recipe.augment not in _AUGMENTS:
        raise UserError(f"recipe.augment is {recipe.augment!r}: expected {' or '.join(_AUGMENTS)} for a detector.")
