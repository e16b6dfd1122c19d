"""The settings of a training as YAML: printed by `trainers/train.py --print-config`, and read by `--config`.

So are those of a detector, which has a section of its own beside.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from search_spaces.errors import UserError, unknown_name
from search_spaces.yaml_files import not_a_mapping, read_mapping, yaml_word
from trainers.full.train_settings import SECTIONS, TrainSettings
from trainers.settings_files import found_instead

HEADING = "# Every setting of a full training: python trainers/train.py BUNDLE --config FILE [SETTING=VALUE ...]"


def config_text(settings: TrainSettings) -> str:
    """The data, the recipe and the conduct of a full training, each field by its name."""
    conduct = dataclasses.asdict(settings.conduct)
    recipe = dataclasses.asdict(settings.recipe) | {"norm_batch": settings.norm_batch}
    sections = {"data": dataclasses.asdict(settings.data), "recipe": recipe, "conduct": conduct, "seed": settings.seed}
    return yaml_text(HEADING, sections)


def yaml_text(heading: str, sections: Mapping[str, Any]) -> str:
    """Sections of settings below a heading."""
    return f"{heading}\n" + yaml.safe_dump(dict(sections), sort_keys=False, allow_unicode=True)


def read_config(
    path: str, overrides: Sequence[str], more: Sequence[str] = ()
) -> tuple[list[str], int | None, dict[str, dict[str, Any]]]:
    """The settings in a file that `yaml_text` wrote, or in some of its lines, below `overrides`; its seed; and what it
    has in the sections `more`.

    With another `recipe=NAME` on top the file's recipe does not count, and with another `data=NAME` not its data.
    Raises UserError where it is no such file.
    """
    what = f"--config {path!r}"
    found = read_mapping(Path(path), what)
    seed = found.pop("seed", None)
    if seed is not None and type(seed) is not int:
        raise UserError(f"{what}, seed: expected a whole number, found {seed!r}.")
    # A detector's images have no name of a data set.
    is_of_classes = "name" in (found.get("data") or ())
    is_other = any(section not in (*SECTIONS, *more) for section in found) or (bool(more) and is_of_classes)
    if is_other and (instead := found_instead(found, expected="detector" if more else "full training")):
        raise UserError(f"{what} holds {instead}.")
    for section, values in found.items():
        if section not in (*SECTIONS, *more):
            raise unknown_name(f"section of {what}", section, [*SECTIONS, *more, "seed"])
        if not isinstance(values, dict):
            raise not_a_mapping(f"{what}, {section}", values)
    given = dict(override.partition("=")[::2] for override in overrides)
    data, recipe = dict(found.get("data", {})), found.get("recipe", {})
    name = data.pop("name", None)
    words = []
    if name is None or given.get("data", name) == name:
        words = ([] if name is None else [f"data={name}"]) + _words("data", data)
    words += [] if "recipe" in given else _words("recipe", recipe)
    others = {section: found[section] for section in more if section in found}
    return [*words, *_words("recipe", found.get("conduct", {})), *overrides], seed, others


def _words(section: str, values: dict[str, Any]) -> list[str]:
    return [f"{section}.{name}={yaml_word(value)}" for name, value in values.items()]
