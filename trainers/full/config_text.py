"""The settings of a full training as YAML, as `trainers/train.py --print-config` prints them."""

import dataclasses

import yaml

from trainers.full.train_settings import TrainSettings

HEADING = "# Every setting of a full training. What stands below recipe is a file that recipe=FILE.yaml takes.\n"


def config_text(settings: TrainSettings) -> str:
    """The data, the recipe and the conduct of a full training, each field by its name."""
    conduct = dataclasses.asdict(settings.conduct)
    recipe = dataclasses.asdict(settings.recipe) | {"norm_batch": settings.norm_batch}
    sections = {"data": dataclasses.asdict(settings.data), "recipe": recipe, "conduct": conduct, "seed": settings.seed}
    return HEADING + yaml.safe_dump(sections, sort_keys=False, allow_unicode=True)
