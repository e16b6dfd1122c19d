"""What a full training does: a bundle's network, on a data set, by a recipe, from a seed."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces.architecture import Architecture
from search_spaces.errors import UserError, unknown_name
from search_spaces.overrides import read_override, with_overrides
from trainers.bundle.contents import Bundle
from trainers.data.config import DATA_DEFAULTS, MOST_SEEDS, DataConfig
from trainers.recipe import FULL_TRAINING, Recipe

SETTINGS_FORMAT = "full-training/1"
# Beside the settings it is kept what the images are known by that they were begun with.
FINGERPRINT = "data_fingerprint"


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Everything that decides the outcome of a full training. `recipe_source` says in words whose recipe it is.

    `initial_weights` is the SHA-256 of the weights that it starts from, None where it starts from scratch.
    """

    architecture: Architecture
    data: DataConfig
    recipe: Recipe
    seed: int
    recipe_source: str
    initial_weights: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "format": SETTINGS_FORMAT,
            "architecture": self.architecture.to_json(),
            "data": self.data.to_json(),
            "recipe": self.recipe.to_json(),
            "seed": self.seed,
            **({} if self.initial_weights is None else {"initial_weights": self.initial_weights}),
        }


def settings_of(
    bundle: Bundle, overrides: Sequence[str], seed: int, initial_weights: str | None = None
) -> TrainSettings:
    """The settings for a bundle and overrides as `data=cifar10` or `recipe.epochs=5`.

    The recipe is the bundle's own on the bundle's own data set, and that data set's full training on any other. Where
    it starts from the bundle's weights, whose SHA-256 is `initial_weights`, images are of the size that these are used
    to, and the learning rate is a tenth. Raises UserError on an override that is none.
    """
    if not 0 <= seed < MOST_SEEDS:
        raise UserError(f"--seed is {seed}: expected a whole number from 0 to {MOST_SEEDS - 1:,}.")
    read = [read_override(text, "data=cifar10 or recipe.epochs=5") for text in overrides]
    data, recipe, source = bundle.data, bundle.recipe, "the bundle's"
    name = next((override.text for override in reversed(read) if override.key == "data"), data.name)
    if name not in DATA_DEFAULTS:
        raise unknown_name("data set", name, DATA_DEFAULTS)
    if name != data.name:
        data, recipe, source = DATA_DEFAULTS[name], FULL_TRAINING[name], f"the full training of {name}"
    if initial_weights is not None:
        data = dataclasses.replace(data, image_size=bundle.data.image_size)
        recipe = dataclasses.replace(recipe, learning_rate=recipe.learning_rate / 10)
        source += " at a tenth of its learning rate"
    # The name of the data set is set by data=NAME, with all that goes with it, and not by itself.
    settings = {"data": data.to_json(), "recipe": recipe.to_json()}
    del settings["data"]["name"]
    changes = [override for override in read if override.key != "data"]
    values = with_overrides(settings, changes, {"data": DataConfig, "recipe": Recipe})
    return TrainSettings(
        architecture=bundle.architecture,
        data=dataclasses.replace(data, **values["data"]).located(),
        recipe=dataclasses.replace(recipe, **values["recipe"]),
        seed=seed,
        recipe_source=source + (" with changes" if any(change.key.startswith("recipe.") for change in changes) else ""),
        initial_weights=initial_weights,
    )


def difference(saved: Any, wanted: dict[str, Any]) -> str | None:
    """The first setting in which two trainings differ, in words, or None.

    The number of loader processes changes nothing in what is computed and may differ, and so may the place of images
    whose fingerprint was saved.
    """
    before, after, free = _flat(saved), _flat(wanted), ["data.loader_workers"]
    if before.get("data.root") is not None:
        # Earlier code kept it as it was typed.
        before["data.root"] = str(Path(before["data.root"]).resolve())
    if isinstance(saved, dict) and FINGERPRINT in saved:
        before, free = _flat({key: saved[key] for key in saved if key != FINGERPRINT}), [*free, "data.root"]
    for key in [*after, *before]:
        if key not in free and before.get(key) != after.get(key):
            return f"{key} is {before.get(key)!r} there and {after.get(key)!r} here"
    return None


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix.removesuffix("."): value}
    return {key: item for name in value for key, item in _flat(value[name], f"{prefix}{name}.").items()}
