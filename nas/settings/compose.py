"""The command line and the YAML of a search, read into frozen settings. The only file that sees Hydra."""

import argparse
import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf

from nas.settings.changes import check_forkable, check_resumable, shared_stages
from nas.settings.command import Command, SpaceFile
from nas.settings.kept_addresses import known_tracking
from nas.settings.run_directory import existing_run
from nas.settings.search_arguments import FLAG_OVERRIDES, argument_parser
from nas.settings.search_settings import ClusterSettings, LedgerSettings, SearchSettings, TrackingSettings
from search_spaces import space as space_module
from search_spaces.errors import UserError, unknown_name
from search_spaces.space_reading import space_from_mapping
from trainers.data.config import DATA_DEFAULTS, DATA_NAMES, DataConfig
from trainers.recipe import Recipe

CONFIG_DIRECTORY = Path(__file__).resolve().parents[1] / "conf"
SPACE_DIRECTORY = Path(space_module.__file__).resolve().parent


def space_names() -> list[str]:
    """The spaces that come with the project."""
    return sorted(path.stem for path in SPACE_DIRECTORY.glob("*.yaml"))


def space_mapping(name: str) -> tuple[str, Mapping[str, Any]]:
    """A space's short name and what its file says; `name` is one of `space_names` or the path of a YAML file."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else SPACE_DIRECTORY / f"{name}.yaml"
    if not name.endswith((".yaml", ".yml")) and name not in space_names():
        raise unknown_name("space", name, [*space_names(), "a file ending in .yaml"])
    try:
        mapping = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"space file {str(path)!r} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date or a number that is none is a ValueError
        raise UserError(f"space file {str(path)!r} is not YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(mapping, dict):
        raise UserError(f"space file {str(path)!r}: expected a mapping, found {type(mapping).__name__}.")
    space_from_mapping(path.stem, mapping)
    return path.stem, mapping


def read_command(arguments: Sequence[str]) -> Command:
    """The command line as settings. Raises UserError on any mistake; creates nothing."""
    options = argument_parser(space_names()).parse_intermixed_args(list(arguments))
    if options.resume and options.name:
        raise UserError("--resume and --fork name the search themselves: leave out --name.")
    if options.fork and not options.resume:
        raise UserError(f"--fork {options.fork} begins with the results of a search: expected --resume NAME, too.")
    if not options.resume and not options.space:
        raise UserError(f"--space is missing: expected one of {', '.join(space_names())}, or a YAML file.")
    flags = [f"{key}={value}" for flag, key in FLAG_OVERRIDES.items() if (value := getattr(options, flag)) is not None]
    overrides = [*options.overrides, *flags]
    if options.resume:
        return _resumed(options, overrides)
    space_name, mapping = space_mapping(options.space)
    config = _compose(mapping, overrides)
    moment = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return Command(
        name=options.name or f"{space_name}-{moment}",
        resume=False,
        fork_of=None,
        previous=None,
        plan=options.plan,
        runs_dir=options.runs_dir,
        space=space_from_mapping(space_name, config["space"]),
        space_file=_space_file(options.space, overrides),
        data=_absolute_root(DataConfig.from_json(config["data"])),
        training=Recipe.from_json(config["training"]),
        search=SearchSettings.from_json(config["search"]),
        cluster=ClusterSettings.from_json(config["cluster"]),
        tracking=TrackingSettings.from_json(config["tracking"]),
        ledger=LedgerSettings.from_json(config["ledger"]),
    )


def _absolute_root(data: DataConfig) -> DataConfig:
    """Workers run in other directories, so a relative data.root is taken from where the user stands."""
    return data if data.root is None else replace(data, root=str(Path(data.root).resolve()))


def _compose(space: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The configuration with its overrides, as plain data."""
    parsed = [_parse_override(text) for text in overrides]
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


def _parse_override(text: str) -> Override:
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
    store = ConfigStore.instance()
    store.store(group="space", name="chosen", node=OmegaConf.create(dict(space)))
    for name, data in DATA_DEFAULTS.items():
        store.store(group="data_set", name=name, node=OmegaConf.create(data.to_json()))
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


def _resumed(options: argparse.Namespace, overrides: Sequence[str]) -> Command:
    """The command that goes on with a search as it was, but for what it may change, or that forks it."""
    from nas.ledger.location import open_ledger

    ledger = open_ledger(existing_run(options.runs_dir, options.resume), _given(overrides, "ledger.url"))
    header = ledger.header
    space_name, mapping, space_file = _space_to_go_on_with(options.space, header, overrides)
    settings = {section: dict(header[section]) for section in ("data", "training", "search")}
    for override in map(_parse_override, overrides):
        if override.key_or_group == "data":
            settings["data"]["name"] = override.value()
        elif override.key_or_group in settings:
            raise UserError(f"override {override.input_line!r}: expected {override.key_or_group}.KEY=VALUE.")
    given = _compose(mapping, [*(space_file.overrides if space_file else ()), *overrides])
    # A setting that did not exist when the search began has its default.
    settings["search"] = {**given["search"], **header["search"]}
    for override in map(_parse_override, overrides):
        section, _, key = override.key_or_group.partition(".")
        if key and section in settings:
            settings[section][key] = given[section][key]
    command = Command(
        name=options.fork or options.resume,
        resume=not options.fork,
        fork_of=options.resume if options.fork else None,
        previous=header,
        plan=options.plan,
        runs_dir=options.runs_dir,
        space=space_from_mapping(space_name, given["space"]),
        space_file=space_file,
        data=_absolute_root(DataConfig.from_json(settings["data"])),
        training=Recipe.from_json(settings["training"]),
        search=SearchSettings.from_json(settings["search"]),
        cluster=ClusterSettings.from_json(given["cluster"]),
        tracking=_tracking_to_go_on_with(ledger.tracking, given["tracking"], overrides),
        ledger=LedgerSettings.from_json(given["ledger"]),
    )
    if command.resume:
        spaces = space_from_mapping(header["space_name"], header["space"]), command.space
        check_resumable(options.resume, header, spaces, command.header())
    else:
        check_forkable(options.resume, header, command.header())
    return command


def _given(overrides: Sequence[str], key: str) -> str | None:
    """The text that the overrides give for a key; it may be needed before the space that they belong to is known."""
    values = [override.value() for override in map(_parse_override, overrides) if override.key_or_group == key]
    return None if not values or values[-1] is None else str(values[-1])


def _tracking_to_go_on_with(
    kept: Mapping[str, Any] | None, given: Mapping[str, Any], overrides: Sequence[str]
) -> TrackingSettings:
    """The MLflow store that the command names, else the one that the search was written to so far."""
    if kept is None:
        return TrackingSettings.from_json(given)
    named = [override.key_or_group for override in map(_parse_override, overrides)]
    experiment = given["experiment"] if "tracking.experiment" in named else kept["experiment"]
    if "tracking.uri" in named:
        return TrackingSettings.from_json({"uri": given["uri"], "experiment": experiment})
    return replace(known_tracking(kept, None, "tracking.uri=URI"), experiment=experiment)


def _space_to_go_on_with(
    space: str | None, header: Mapping[str, Any], overrides: Sequence[str]
) -> tuple[str, Mapping[str, Any], SpaceFile | None]:
    """The name and the mapping of the space that a command means which goes on with a search, and its file.

    That is the one it names; else the file that the search was started on, as it is today; else what the ledger holds.
    """
    if space is not None:
        return *space_mapping(space), _space_file(space, overrides)
    started_on = header.get("space_file")
    if started_on is not None and Path(started_on["path"]).is_file():
        kept = [text for text in started_on["overrides"] if text not in overrides]
        return *space_mapping(started_on["path"]), _space_file(started_on["path"], [*kept, *overrides])
    return header["space_name"], shared_stages(header["space"]), None


def _space_file(space: str, overrides: Sequence[str]) -> SpaceFile | None:
    if space in space_names():
        return None
    return SpaceFile(str(Path(space).resolve()), tuple(text for text in overrides if text.startswith("space.")))
