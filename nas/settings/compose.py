"""The configuration of a search: the YAML with its overrides, as plain data. The only file that sees Hydra."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf

from search_spaces.errors import UserError, unknown_name
from trainers.data.config import DATA_NAMES

CONFIG_DIRECTORY = Path(__file__).resolve().parents[1] / "conf"


def compose_settings(space: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The configuration with its overrides, as plain data."""
    parsed = [parse_override(text) for text in overrides]
    groups = [text for text, override in zip(overrides, parsed, strict=True) if override.key_or_group == "data"]
    known = _flat_keys(_hydra_compose(space, groups))
    for override in parsed:
        key = override.key_or_group
        if key == "space":
            raise UserError(
                f"override 'space={override.value()}': a space is named by --space, expected space.KEY=VALUE."
            )
        if key not in known:
            section = key.rpartition(".")[0]
            near = section + "." if section in known else ""
            siblings = [name for name in known if name.startswith(near) and "." not in name.removeprefix(near)]
            raise unknown_name("override", key, siblings)
    return _hydra_compose(space, overrides)


def parse_override(text: str) -> Override:
    key, equals, value = text.partition("=")
    if not equals or not key or key[0] in "+~":
        raise UserError(f"unexpected argument {text!r}: expected KEY=VALUE, as in training.epochs=20.")
    if "${" in value or "@" in key:
        raise UserError(f"override {text!r}: expected a plain value.")
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException:
        raise UserError(f"override {text!r} cannot be read: expected KEY=VALUE, lists as KEY=[a,b].") from None
    if override.is_sweep_override():
        raise UserError(f"override {text!r}: expected one value; a list is written {key}=[{value}].")
    if key == "data" and override.value() not in DATA_NAMES:
        raise unknown_name("data set", override.value(), DATA_NAMES)
    return override


def _hydra_compose(space: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    ConfigStore.instance().store(group="space", name="chosen", node=OmegaConf.create(dict(space)))
    try:
        with initialize_config_dir(str(CONFIG_DIRECTORY), version_base="1.3"):
            config = compose("search", list(overrides))
        container: Any = OmegaConf.to_container(config, resolve=False)
    except HydraException as error:
        raise UserError(f"the overrides do not fit: {' '.join(str(error).split())}") from None
    return dict(container)


def _flat_keys(config: Mapping[str, Any], prefix: str = "") -> list[str]:
    keys = []
    for key, value in config.items():
        keys.append(f"{prefix}{key}")
        if isinstance(value, Mapping):
            keys += _flat_keys(value, f"{prefix}{key}.")
    return keys
