"""What a full training does: a bundle's network, on a data set, by a recipe, from a seed."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces.architecture import Architecture
from search_spaces.errors import UserError, unknown_name
from search_spaces.json_fields import field_kinds
from search_spaces.overrides import Override, read_override, with_overrides
from trainers.bundle.contents import Bundle
from trainers.data.config import ADDED_FIELDS as DATA_FIELDS
from trainers.data.config import DATA_DEFAULTS, MOST_SEEDS, DataConfig
from trainers.full.conduct import Conduct
from trainers.recipe import ADDED_FIELDS, Recipe, check_optimizer
from trainers.recipe_files import full_training, named_recipe
from trainers.schedule import nearest_norm_batch, open_norm_batch, scaled_learning_rate

SETTINGS_FORMAT = "full-training/2"
# Its code kept the learning rate whatever the batch, all of which batch norm saw.
EARLIER_FORMAT = "full-training/1"
# Beside the settings it is kept what the images are known by that they were begun with, and where a training was made
# longer.
FINGERPRINT, LENGTHENED = "data_fingerprint", "lengthened"
BESIDE_SETTINGS = (FINGERPRINT, LENGTHENED)
# The sections of settings that a line sets as SECTION.FIELD=VALUE.
SECTIONS: dict[str, type] = {"data": DataConfig, "recipe": Recipe, "conduct": Conduct}


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Everything that decides the outcome of a full training, and its conduct, which does not.

    `norm_batch` is the recipe's, or what stands for it where that leaves it open. `recipe_source` says in words whose
    recipe it is. `unscaled` is the recipe's batch and learning rate where that was scaled with another batch.
    `initial_weights` is the SHA-256 of the weights that it starts from, None where it starts from scratch. `format` is
    that of the code by whose rules the training was begun.
    """

    architecture: Architecture
    data: DataConfig
    recipe: Recipe
    seed: int
    norm_batch: int
    recipe_source: str
    conduct: Conduct
    unscaled: tuple[int, float] | None = None
    initial_weights: str | None = None
    format: str = SETTINGS_FORMAT

    def to_json(self) -> dict[str, Any]:
        return {
            "format": self.format,
            **({} if self.format == EARLIER_FORMAT else {"norm_batch": self.norm_batch}),
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

    The recipe is that of recipe=NAME, else the bundle's own on its own data set and the full training of any other.
    Where its batch is changed, its learning rate changes with it (`scaled_learning_rate`), and the groups of batch norm
    divide it again, unless they are changed themselves. Where it starts from the bundle's weights, whose SHA-256 is
    `initial_weights`, images are of the size that these are used to, and the learning rate is a tenth. Raises UserError
    on an override that is none.
    """
    if not 0 <= seed < MOST_SEEDS:
        raise UserError(f"--seed is {seed}: expected a whole number from 0 to {MOST_SEEDS - 1:,}.")
    read = [read_override(text, "data=cifar10 or recipe.epochs=5") for text in overrides]
    data, recipe, source = _unchanged(bundle, read, from_weights=initial_weights is not None)
    # The name of the data set is set by data=NAME, with all that goes with it, and not by itself.
    settings = {"data": dataclasses.asdict(data), "recipe": dataclasses.asdict(recipe) | dataclasses.asdict(Conduct())}
    del settings["data"]["name"]
    changes = [override for override in read if override.key not in ("data", "recipe")]
    sections = {"data": DataConfig, "recipe": Recipe}
    conducted = [change for change in changes if change.key.removeprefix("recipe.") in field_kinds(Conduct)]
    conduct = with_overrides({"recipe": dataclasses.asdict(Conduct())}, conducted, {"recipe": Conduct})["recipe"]
    values = with_overrides(settings, [change for change in changes if change not in conducted], sections)
    typed = frozenset(change.key.removeprefix("recipe.") for change in changes if change.key.startswith("recipe."))
    fields, unscaled = {name: values["recipe"][name] for name in field_kinds(Recipe)}, None
    check_optimizer(dataclasses.asdict(recipe), fields, rate_given="learning_rate" in typed)
    norm_batch = fields["norm_batch"]
    if "norm_batch" not in typed and norm_batch:
        norm_batch = nearest_norm_batch(norm_batch, Recipe(**(fields | {"norm_batch": 0})).batch_size)
    wanted = Recipe(**(fields | {"norm_batch": norm_batch}))
    if wanted.batch_size != recipe.batch_size and "learning_rate" not in typed:
        unscaled = recipe.batch_size, recipe.learning_rate
        wanted = dataclasses.replace(wanted, learning_rate=scaled_learning_rate(recipe, wanted.batch_size))
    data = dataclasses.replace(data, **values["data"])
    if any(change.key == "data.root" for change in changes):
        data.check_root()
    data = data.located()
    return TrainSettings(
        architecture=bundle.architecture,
        data=data,
        recipe=wanted,
        seed=seed,
        norm_batch=wanted.norm_batch or open_norm_batch(wanted.batch_size, data.image_size),
        recipe_source=source + (" with changes" if typed - set(field_kinds(Conduct)) else ""),
        conduct=Conduct(**conduct),
        unscaled=unscaled,
        initial_weights=initial_weights,
    )


def _unchanged(bundle: Bundle, read: Sequence[Override], *, from_weights: bool) -> tuple[DataConfig, Recipe, str]:
    """The data and the recipe that data=NAME and recipe=NAME say, below all other overrides, and whose recipe it is."""
    data, recipe, source = bundle.data, bundle.recipe, "the bundle's"
    name = next((override.text for override in reversed(read) if override.key == "data"), data.name)
    if name not in DATA_DEFAULTS:
        raise unknown_name("data set", name, DATA_DEFAULTS)
    if name != data.name:
        data, recipe, source = DATA_DEFAULTS[name], full_training(name), f"the full training of {name}"
    for override in read:
        if override.key == "recipe":
            recipe, source = named_recipe(override.text), override.text
    if from_weights:
        data = dataclasses.replace(data, image_size=bundle.data.image_size)
        recipe = dataclasses.replace(recipe, learning_rate=recipe.learning_rate / 10)
        source += " at a tenth of its learning rate"
    return data, recipe, source


def as_begun(settings: TrainSettings, saved: Any) -> TrainSettings:
    """The settings of a training that goes on where `saved` are those that it was begun with.

    By the rules of earlier code where it was begun by that: another batch had the same learning rate, and batch norm
    saw all of it.
    """
    if not isinstance(saved, dict) or saved.get("format") != EARLIER_FORMAT:
        return settings
    rate = settings.recipe.learning_rate if settings.unscaled is None else settings.unscaled[1]
    recipe = dataclasses.replace(settings.recipe, learning_rate=rate)
    batch = settings.recipe.batch_size
    return dataclasses.replace(settings, recipe=recipe, norm_batch=batch, unscaled=None, format=EARLIER_FORMAT)


def difference(saved: Any, wanted: dict[str, Any]) -> str | None:
    """The first setting in which two trainings differ, in words, or None.

    The number of loader processes and what is kept of the images change nothing in what is computed and may differ, and
    so may the place of images whose fingerprint was saved.
    """
    saved, wanted = _with_all_fields(saved), _with_all_fields(wanted)
    kept = {key: saved[key] for key in saved if key not in BESIDE_SETTINGS} if isinstance(saved, dict) else saved
    before, after, free = _flat(kept), _flat(wanted), ["data.loader_workers", "data.cache"]
    if before.get("data.root") is not None:
        # Earlier code kept it as it was typed.
        before["data.root"] = str(Path(before["data.root"]).resolve())
    if isinstance(saved, dict) and FINGERPRINT in saved:
        free.append("data.root")
    # What was asked for comes before what follows from it.
    for key in sorted([*after, *before], key=lambda key: not key.startswith("recipe.")):
        if key not in free and before.get(key) != after.get(key):
            return f"{key} is {before.get(key)!r} there and {after.get(key)!r} here"
    return None


def _with_all_fields(settings: Any) -> Any:
    """The same with the fields of the data and the recipe that are not written where they change nothing."""
    for section, added in (("data", DATA_FIELDS), ("recipe", ADDED_FIELDS)):
        written = settings.get(section) if isinstance(settings, dict) else None
        settings = settings | {section: added | written} if isinstance(written, dict) else settings
    return settings


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix.removesuffix("."): value}
    return {key: item for name in value for key, item in _flat(value[name], f"{prefix}{name}.").items()}
