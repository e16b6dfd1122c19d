"""The command line of `nas/search.py`, read into a command: for a new search, for one that goes on, or for a fork."""

import argparse
import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.driver.steps import step
from nas.driver.texts import error_console
from nas.settings.address_checks import check_tracking_uri
from nas.settings.changes import check_forkable, check_resumable, shared_stages
from nas.settings.cluster_settings import ClusterSettings
from nas.settings.command import Command
from nas.settings.compose import compose_settings, override_of
from nas.settings.config_file import read_config
from nas.settings.header import SearchHeader
from nas.settings.run_directory import check_new_name
from nas.settings.search_arguments import FLAG_OVERRIDES, argument_parser
from nas.settings.search_settings import SearchSettings
from nas.settings.space_files import SpaceFile, space_file_of, space_mapping, space_names
from nas.settings.sqlite_addresses import sqlite_path, sqlite_url
from nas.settings.store_settings import LedgerSettings, StorageSettings, TrackingSettings
from search_spaces.errors import UserError
from search_spaces.overrides import Override, field_value
from search_spaces.paths import user_path
from search_spaces.slow_steps import LOADING_SECONDS
from search_spaces.space_reading import space_from_mapping
from trainers.data.config import DataConfig
from trainers.recipe import Recipe
from trainers.storage.address import StorageAddress


def read_command(arguments: Sequence[str]) -> Command:
    """The command line as settings. Raises UserError on any mistake; creates nothing."""
    options = argument_parser(space_names()).parse_intermixed_args(list(arguments))
    if options.resume and options.name:
        raise UserError("--resume and --fork name the search themselves: leave out --name.")
    if options.fork and not options.resume:
        raise UserError(f"--fork {options.fork} begins with the results of a search: expected --resume NAME, too.")
    if (new := options.fork or options.name) is not None:
        check_new_name(new)
    if options.resume and options.config:
        raise UserError(
            "--config is for a search that begins: leave it out with --resume, which has the settings of the ledger."
        )
    loaded = read_config(options.config) if options.config else {}
    if not options.resume and not options.space and "space" not in loaded:
        raise UserError(f"--space is missing: expected one of {', '.join(space_names())}, or a YAML file.")
    flags = [
        f"{key}=[{','.join(value)}]" if isinstance(value, list) else f"{key}={value}"
        for flag, key in FLAG_OVERRIDES.items()
        if (value := getattr(options, flag)) is not None
    ]
    overrides = [override_of(argument) for argument in (*options.overrides, *flags)]
    if options.resume:
        return _resumed(options, overrides)
    if options.space:
        space_name, mapping = space_mapping(options.space)
    else:
        mapping = dict(loaded["space"])
        space_name = mapping.pop("name")
    config = compose_settings(mapping, overrides, loaded, suits_data=_suits_data(options.space))
    data = DataConfig.from_json(config["data"])
    data.check_root()
    moment = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return Command(
        name=options.name or f"{space_name}-{moment}",
        resume=False,
        fork_of=None,
        previous=None,
        plan=options.plan,
        runs_dir=options.runs_dir,
        space=space_from_mapping(space_name, config["space"]),
        space_file=space_file_of(options.space, overrides) if options.space else None,
        data=data.located(),
        training=Recipe.from_json(config["training"]),
        search=SearchSettings.from_json(config["search"]),
        cluster=ClusterSettings.from_json(config["cluster"]),
        storage=StorageSettings.from_json(config["storage"]),
        tracking=_absolute_store(TrackingSettings.from_json(config["tracking"])),
        ledger=LedgerSettings.from_json(config["ledger"]),
        print_config=options.print_config,
    )


def _suits_data(space: str | None) -> bool:
    """Whether a space takes what suits the data: those that come with the project do, a file is taken as it is."""
    return space in space_names()


def _absolute_store(tracking: TrackingSettings) -> TrackingSettings:
    """A relative SQLite file is taken from where the user stands, too, whoever goes on from elsewhere.

    Raises UserError on an address that cannot be one of a store.
    """
    if tracking.uri is not None:
        check_tracking_uri(tracking.uri, "tracking.uri")
    path = None if tracking.uri is None or "?" in tracking.uri else sqlite_path(tracking.uri)
    return tracking if path is None else replace(tracking, uri=sqlite_url(Path(user_path(str(path)))))


def _resumed(options: argparse.Namespace, overrides: Sequence[Override]) -> Command:
    """The command that goes on with a search as it was, but for what it may change, or that forks it."""
    url = _ledger_url(overrides)
    with step(error_console(), f"reading the ledger of {options.resume}", LOADING_SECONDS):
        # Optuna and SQLAlchemy, which a new search reads its command without.
        from nas.ledger.location import found_run, open_ledger

        ledger = open_ledger(found_run(options.runs_dir, options.resume, url), url)
    header = ledger.header
    space_name, mapping, space_file = _space_to_go_on_with(options.space, header, overrides)
    settings = {"data": header.data.to_json(), "training": header.training.to_json(), "search": header.search.to_json()}
    kept = map(override_of, space_file.overrides if space_file else ())
    data = override_of(f"data={header.data.name}")
    given = compose_settings(mapping, [data, *kept, *overrides], suits_data=_suits_data(options.space))
    for override in overrides:
        section, _, key = override.key.partition(".")
        if override.key == "data":
            settings["data"]["name"] = override.text
        elif override.key == "recipe":
            settings["training"] = dict(given["training"])
        elif section in settings:
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
        data=DataConfig.from_json(settings["data"]).located(),
        training=Recipe.from_json(settings["training"]),
        search=SearchSettings.from_json(settings["search"]),
        cluster=ClusterSettings.from_json(given["cluster"]),
        storage=_storage_to_go_on_with(options, header, StorageSettings.from_json(given["storage"])),
        tracking=_tracking_to_go_on_with(ledger.tracking, given["tracking"], overrides),
        ledger=LedgerSettings.from_json(given["ledger"]),
        unreadable=ledger.unreadable_images,
        print_config=options.print_config,
    )
    check = check_resumable if command.resume else check_forkable
    check(options.resume, header, command)
    return command


def _ledger_url(overrides: Sequence[Override]) -> str | None:
    """The address of the ledger, which is needed before the space that other overrides belong to is known."""
    given = [override for override in overrides if override.key == "ledger.url"]
    url: str | None = field_value(LedgerSettings, "url", given[-1]) if given else None
    return url


def _storage_to_go_on_with(
    options: argparse.Namespace, header: SearchHeader, given: StorageSettings
) -> StorageSettings:
    """The storage of the search that goes on, perhaps reached otherwise; a fork may have another.

    Raises UserError where another is given.
    """
    if given.address is None or options.fork:
        return StorageSettings(given.address or header.storage)
    if header.storage is None or not StorageAddress.of(given.address).is_same_place(StorageAddress.of(header.storage)):
        where = "in its directory" if header.storage is None else f"at {header.storage}"
        raise UserError(
            f"search {options.resume!r} keeps its checkpoints {where}, not at {given.address}: leave out --storage."
        )
    return given


def _tracking_to_go_on_with(
    kept: Mapping[str, Any] | None, given: Mapping[str, Any], overrides: Sequence[Override]
) -> TrackingSettings:
    """The MLflow store that the command names, else the one that the search was written to so far."""
    if kept is None:
        return TrackingSettings.from_json(given)
    named = [override.key for override in overrides]
    experiment = given["experiment"] if "tracking.experiment" in named else kept["experiment"]
    if "tracking.uri" in named:
        return _absolute_store(TrackingSettings.from_json({"uri": given["uri"], "experiment": experiment}))
    return replace(TrackingSettings.from_kept(kept, None, "tracking.uri=URI"), experiment=experiment)


def _space_to_go_on_with(
    space: str | None, header: SearchHeader, overrides: Sequence[Override]
) -> tuple[str, Mapping[str, Any], SpaceFile | None]:
    """The name and the mapping of the space that a command means which goes on with a search, and its file.

    That is the one it names; else the file that the search was started on, as it is today; else what the ledger holds.
    """
    if space is not None:
        return *space_mapping(space), space_file_of(space, overrides)
    started_on = header.space_file
    if started_on is not None and Path(started_on.path).is_file():
        known = [override for override in map(override_of, started_on.overrides) if override not in overrides]
        return *space_mapping(started_on.path), space_file_of(started_on.path, [*known, *overrides])
    return header.space.name, shared_stages(header.space.to_json()), None
