"""The configuration of a search: the YAML with its overrides, as plain data. The only file that sees Hydra."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.settings.cluster_settings import ClusterSettings
from nas.settings.search_settings import SearchSettings
from nas.settings.store_settings import LedgerSettings, StorageSettings, TrackingSettings
from search_spaces.errors import UserError, unknown_name
from search_spaces.overrides import Override, read_override, with_overrides
from trainers.data.config import DATA_DEFAULTS, DataConfig
from trainers.recipe import Recipe, check_optimizer
from trainers.recipe_files import named_recipe

CONFIG_DIRECTORY = Path(__file__).resolve().parents[1] / "conf"

# The sections of a configuration whose values have declared types; the values of `space` are read by their looks.
SECTIONS: dict[str, type] = {
    "data": DataConfig,
    "training": Recipe,
    "search": SearchSettings,
    "cluster": ClusterSettings,
    "storage": StorageSettings,
    "tracking": TrackingSettings,
    "ledger": LedgerSettings,
}


def override_of(argument: str) -> Override:
    """What was typed as KEY=VALUE; `recipe.KEY` is another name of `training.KEY`.

    Raises UserError where it is anything else, or names an unknown data set.
    """
    override = read_override(argument, "training.epochs=20")
    if override.key.startswith("recipe."):
        override = Override(override.key.replace("recipe", "training", 1), override.text)
    if override.key == "data" and override.text not in DATA_DEFAULTS:
        raise unknown_name("data set", override.text, DATA_DEFAULTS)
    if override.key == "space":
        raise UserError(f"override {argument!r}: a space is named by --space, expected space.KEY=VALUE.")
    return override


def compose_settings(
    space: Mapping[str, Any],
    overrides: Sequence[Override],
    config: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    suits_data: bool = False,
) -> dict[str, Any]:
    """The configuration of a search on `space`, the mapping of a YAML file, with overrides on top. Raises UserError.

    `data=NAME` among the overrides takes a data set with the recipe that suits it and, where `suits_data`, with what
    suits it of the space; `recipe=NAME` takes another recipe for all of `training`; the other overrides follow them.
    The sections of `config`, if there is one, lie between the defaults and the overrides.
    """
    # It takes longer to load than the names of the sections, which is all that a report needs of this file.
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    config = config or {}
    named = [f"data={override.text}" for override in overrides if override.key == "data"]
    of_file = config.get("data", {}).get("name")
    if of_file is not None and named and named[-1] != f"data={of_file}":
        raise UserError(
            f"{named[-1]}: the file of --config has the settings of {of_file!r}; expected one or the other."
        )
    if of_file is not None:
        named = [str(override_of(f"data={of_file}"))]
    with initialize_config_dir(str(CONFIG_DIRECTORY), version_base="1.3"):
        composed: Any = OmegaConf.to_container(compose("search", named[-1:]), resolve=False)
    suiting = composed.pop("space", {})
    space = {**space, **suiting} if suits_data else space
    composed["training"] = dataclasses.asdict(named_recipe(composed.pop("recipe")))
    # The name of the data set is set by data=NAME, with all that goes with it, and not by itself.
    composed = {key: {**value, **config.get(key, {})} for key, value in composed.items()}
    recipe = next((override.text for override in reversed(overrides) if override.key == "recipe"), None)
    if recipe is not None:
        composed["training"] = dataclasses.asdict(named_recipe(recipe))
    data = {**dataclasses.asdict(DATA_DEFAULTS[composed["data"]["name"]]), **config.get("data", {})}
    name = data.pop("name")
    settings = [override for override in overrides if override.key not in ("data", "recipe")]
    changed = with_overrides({**composed, "data": data, "space": space}, settings, SECTIONS)
    rate_given = any(override.key == "training.learning_rate" for override in overrides)
    check_optimizer(composed["training"], changed["training"], rate_given=rate_given)
    return {**changed, "data": {"name": name, **changed["data"]}}
