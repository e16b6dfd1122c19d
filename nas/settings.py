"""The command line and the YAML of a search, read into frozen settings. The only file that sees Hydra."""

import argparse
import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf

from nas.arguments import ArgumentParser, number
from nas.search_settings import ClusterSettings, SearchSettings, TrackingSettings
from search_spaces import space as space_module
from search_spaces.errors import UserError, unknown_name
from search_spaces.space import Space
from search_spaces.space_reading import space_from_mapping
from trainers.data import DATA_NAMES, DataConfig
from trainers.recipe import Recipe

CONFIG_DIRECTORY = Path(__file__).resolve().parent / "conf"
SPACE_DIRECTORY = Path(space_module.__file__).resolve().parent
DEFAULT_RUNS_DIRECTORY = "runs"

# Flags that are another spelling of an override.
FLAG_OVERRIDES = {
    "trials": "search.trials",
    "max_flops": "search.max_flops",
    "min_accuracy": "search.min_accuracy",
    "epochs": "search.epochs",
    "time_budget": "search.time_budget",
    "seed": "search.seed",
    "address": "cluster.address",
    "gpus_per_trial": "cluster.gpus_per_trial",
    "cpus_per_trial": "cluster.cpus_per_trial",
}

DESCRIPTION = """\
Search architectures for accuracy against FLOPs: what each stage of a ResNet is made of, convolution or local
self-attention. With `--space resnet_stages` alone it searches, in minutes, on data that come with the installation."""

EPILOGUE = """\
examples:
  python nas/search.py --space resnet_stages                         a few minutes on a laptop
  python nas/search.py --space resnet_stages --plan                  what it would do, and nothing else
  python nas/search.py --space resnet_stages data=cifar10 --trials 100 --gpus-per-trial 0.5
  python nas/search.py --space resnet_stages space.depth=[26] 'space.stages.spatial_extent=[3,7]'
  python nas/search.py --space my_space.yaml data=image_folder data.root=/images --max-flops 2e9 --time-budget 12h
  python nas/search.py --space resnet_stages --address auto data=imagenet data.root=/data/imagenet \\
      space.width=[0.5,1.0] --gpus-per-trial 1 --runs-dir /shared/runs
  python nas/search.py --resume NAME --trials 200                    go on with a search, and further

overrides (KEY=VALUE, before or after the flags):
  data=digits|cifar10|image_folder|imagenet      the data set, with the training that suits it
  data.root=DIR data.image_size=N                where it is, and the side of its images in pixels
  training.epochs=N training.batch_size=N …      how each trial is trained (nas/conf/data/)
  search.sampler=ehvi|tpe|nsga2|random  search.scheduler=pareto|asha|none …                      (nas/conf/search.yaml)
  tracking.uri=http://127.0.0.1:5000             an MLflow server instead of the store in the runs directory
  space.stem=[…] space.width=[…] space.stages.heads=[…] space.stage1.operator=[…] …            (search_spaces/*.yaml)
"""


@dataclass(frozen=True, slots=True)
class Command:
    """What the user asked for. `resume` names a search to go on with, whose own settings then hold."""

    name: str
    resume: bool
    plan: bool
    runs_dir: str
    space: Space
    data: DataConfig
    training: Recipe
    search: SearchSettings
    cluster: ClusterSettings
    tracking: TrackingSettings

    def header(self) -> dict[str, Any]:
        """What a ledger keeps of it."""
        return {
            "space_name": self.space.name,
            "space": self.space.to_json(),
            "data": self.data.to_json(),
            "training": self.training.to_json(),
            "search": self.search.to_json(),
        }


def argument_parser() -> argparse.ArgumentParser:
    """The flags of `nas/search.py`."""
    parser = ArgumentParser(
        prog="python nas/search.py",
        usage="%(prog)s --space NAME|FILE.yaml [flags] [KEY=VALUE ...]",
        description=DESCRIPTION,
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--space", metavar="NAME|FILE", help=f"what to search: {', '.join(space_names())}, or a YAML file"
    )
    parser.add_argument(
        "--trials", type=number(int, "a whole number"), metavar="N", help="architectures to train (default 50)"
    )
    parser.add_argument(
        "--max-flops",
        type=number(float, "a number"),
        metavar="X",
        help="never train an architecture with more FLOPs (2 a multiply-add), as 4e9",
    )
    parser.add_argument(
        "--min-accuracy",
        type=number(float, "a number"),
        metavar="A",
        help="look for architectures of at least this accuracy, as 0.7",
    )
    parser.add_argument(
        "--epochs",
        type=number(int, "a whole number"),
        metavar="N",
        help="stop after so many epochs of training, all trials together",
    )
    parser.add_argument("--time-budget", metavar="T", help="stop after this time, as 30m or 12h")
    parser.add_argument(
        "--seed", type=number(int, "a whole number"), metavar="N", help="of the proposals and the trials (default 0)"
    )
    parser.add_argument(
        "--gpus-per-trial",
        type=number(float, "a number"),
        metavar="X",
        help="GPUs that a trial takes, 0.5 for two trials on one (default 0)",
    )
    parser.add_argument(
        "--cpus-per-trial", type=number(float, "a number"), metavar="X", help="CPU cores that a trial takes (default 1)"
    )
    parser.add_argument(
        "--address", metavar="ADDRESS", help="join this Ray cluster (`auto`: the one this machine is part of)"
    )
    parser.add_argument("--name", metavar="NAME", help="what to call the search (default: the space and the time)")
    parser.add_argument(
        "--resume",
        metavar="NAME",
        help="go on with this search; limits such as --trials and --time-budget may be raised",
    )
    parser.add_argument("--plan", action="store_true", help="print what would be searched and spent, and start nothing")
    parser.add_argument(
        "--runs-dir",
        default=DEFAULT_RUNS_DIRECTORY,
        metavar="DIR",
        help="where searches are kept (default %(default)s)",
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help=argparse.SUPPRESS)
    return parser


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
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"space file {str(path)!r} is not YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(mapping, dict):
        raise UserError(f"space file {str(path)!r}: expected a mapping, found {type(mapping).__name__}.")
    space_from_mapping(path.stem, mapping)
    return path.stem, mapping


def read_command(arguments: Sequence[str]) -> Command:
    """The command line as settings. Raises UserError on any mistake; creates nothing."""
    options = argument_parser().parse_intermixed_args(list(arguments))
    if options.resume and (options.space or options.name):
        raise UserError("--resume goes on with a search as it was: leave out --space and --name.")
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
        plan=options.plan,
        runs_dir=options.runs_dir,
        space=space_from_mapping(space_name, config["space"]),
        data=_absolute_root(DataConfig.from_json(config["data"])),
        training=Recipe.from_json(config["training"]),
        search=SearchSettings.from_json(config["search"]),
        cluster=ClusterSettings.from_json(config["cluster"]),
        tracking=TrackingSettings.from_json(config["tracking"]),
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


def _resumed(options: argparse.Namespace, overrides: Sequence[str]) -> Command:
    """The command that goes on with a search: as it was, with limits and cluster from the command line."""
    from nas.ledger import Ledger, ledger_url
    from nas.run_directory import existing_run

    directory = existing_run(options.runs_dir, options.resume)
    header = Ledger.open(ledger_url(directory.ledger), options.resume).header
    search = dict(header["search"])
    limits = ("trials", "epochs", "time_budget", "stagnation", "max_flops", "replicates", "confirm_front", "hung_after")
    free = tuple(f"search.{limit}" for limit in limits)
    space = space_from_mapping(header["space_name"], header["space"])
    given = _compose(header["space"], overrides)
    for override in map(_parse_override, overrides):
        key = override.key_or_group
        if key not in free and not key.startswith(("cluster.", "tracking.")):
            raise UserError(
                f"{key} cannot change when a search is resumed: expected {', '.join(free)}, cluster.* or tracking.*."
            )
        if key in free:
            search[key.partition(".")[2]] = given["search"][key.partition(".")[2]]
    return Command(
        name=options.resume,
        resume=True,
        plan=options.plan,
        runs_dir=options.runs_dir,
        space=space,
        data=DataConfig.from_json(header["data"]),
        training=Recipe.from_json(header["training"]),
        search=SearchSettings.from_json(search),
        cluster=ClusterSettings.from_json(given["cluster"]),
        tracking=TrackingSettings.from_json(given["tracking"]),
    )
