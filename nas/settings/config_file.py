"""The settings of a search as one YAML file: printed by --print-config, and read by --config."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from nas.settings.addresses import HIDDEN, redacted
from nas.settings.changes import shared_stages
from nas.settings.command import Command
from nas.settings.compose import SECTIONS
from nas.settings.header import SearchHeader
from search_spaces.errors import UserError, unknown_name
from search_spaces.json_fields import field_kinds
from search_spaces.space import Space
from search_spaces.yaml_files import not_a_mapping, read_mapping
from trainers.settings_files import found_instead

HEADING = "# Every setting of a search: python nas/search.py --config FILE [flags] [KEY=VALUE ...]\n"
# Whose user and password are not printed, and where they may be given instead.
_SECRET = {"ledger.url": "NAS_LEDGER_URL", "tracking.uri": "tracking.uri=URI"}


def config_text(command: Command) -> str:
    """What a search would be begun with, in YAML. Addresses are without their secrets, and a comment says so."""
    settings = _settings(command.space, {section: getattr(command, section) for section in SECTIONS})
    text = HEADING
    for key, instead in _SECRET.items():
        section, _, name = key.partition(".")
        address = settings[section][name]
        if address is not None and redacted(address) != address:
            settings[section][name] = None
            text += f"# {key} has secrets and is left out ({redacted(address)}): give it as {instead}.\n"
    return text + _yaml(settings)


def header_text(header: SearchHeader) -> str:
    """What a search was begun with, in YAML that `read_config` takes: of the machines its ledger knows nothing."""
    sections = {"data": header.data, "training": header.training, "search": header.search}
    return _yaml(_settings(header.space, sections))


def _settings(space: Space, sections: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    described = {"name": space.name, **shared_stages(space.to_json())}
    fields = {name: dataclasses.asdict(section) for name, section in sections.items()}
    # As JSON, so that a tuple is a list, and a list that stands in several places is written out in each.
    settings: dict[str, dict[str, Any]] = json.loads(json.dumps({"space": described, **fields}))
    return settings


def _yaml(settings: Mapping[str, Any]) -> str:
    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)


def read_config(path: str) -> dict[str, dict[str, Any]]:
    """The sections of a file that `config_text` wrote, or of some of its lines. Raises UserError where it is none."""
    found = read_mapping(Path(path), f"--config {path!r}")
    for section, values in found.items():
        if section not in ("space", *SECTIONS):
            if instead := found_instead(found, expected="search"):
                raise UserError(f"--config {path!r} holds {instead}.")
            raise unknown_name(f"section of --config {path!r}", section, ["space", *SECTIONS])
        if not isinstance(values, dict):
            raise not_a_mapping(f"--config {path!r}, {section}", values)
        known = field_kinds(SECTIONS[section]) if section in SECTIONS else values
        for name, value in values.items():
            if name not in known:
                raise unknown_name(f"setting of {section} in --config {path!r}", name, list(known))
            if value == HIDDEN:
                raise UserError(f"--config {path!r}, {section}.{name} is {HIDDEN!r}: expected the value itself.")
    if "space" in found and not isinstance(found["space"].get("name"), str):
        raise UserError(f"--config {path!r}, space: expected a name.")
    return found
