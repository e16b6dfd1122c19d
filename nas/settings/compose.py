"""The configuration of a search: the YAML with its overrides, as plain data. The only file that sees Hydra."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from nas.settings.search_settings import ClusterSettings, LedgerSettings, SearchSettings, TrackingSettings
from search_spaces.errors import UserError, unknown_name
from search_spaces.overrides import Override, read_override, with_overrides
from trainers.data.config import DATA_DEFAULTS, DataConfig
from trainers.recipe import Recipe

CONFIG_DIRECTORY = Path(__file__).resolve().parents[1] / "conf"

# The sections of a configuration whose values have declared types; the values of `space` are read by their looks.
SECTIONS: dict[str, type] = {
    "data": DataConfig,
    "training": Recipe,
    "search": SearchSettings,
    "cluster": ClusterSettings,
    "tracking": TrackingSettings,
    "ledger": LedgerSettings,
}


def override_of(argument: str) -> Override:
    """What was typed as KEY=VALUE. Raises UserError where it is anything else, or names an unknown data set."""
    override = read_override(argument, "training.epochs=20")
    if override.key == "data" and override.text not in DATA_DEFAULTS:
        raise unknown_name("data set", override.text, DATA_DEFAULTS)
    if override.key == "space":
        raise UserError(f"override {argument!r}: a space is named by --space, expected space.KEY=VALUE.")
    return override


def compose_settings(space: Mapping[str, Any], overrides: Sequence[Override]) -> dict[str, Any]:
    """The configuration of a search on `space`, the mapping of a YAML file, with overrides on top. Raises UserError.

    `data=NAME` among the overrides takes a data set with the training that suits it; the other overrides follow it.
    """
    named = [f"data={override.text}" for override in overrides if override.key == "data"]
    with initialize_config_dir(str(CONFIG_DIRECTORY), version_base="1.3"):
        composed: Any = OmegaConf.to_container(compose("search", named[-1:]), resolve=False)
    settings = [override for override in overrides if override.key != "data"]
    data = DATA_DEFAULTS[composed["data"]["name"]].to_json()
    return with_overrides({**composed, "data": data, "space": space}, settings, SECTIONS)
