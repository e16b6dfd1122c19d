"""The flags of `nas/search.py` and its help."""

import argparse
from collections.abc import Sequence

from nas.settings.arguments import add_runs_directory, existing_searches
from nas.settings.compose import SECTIONS
from search_spaces.arguments import ArgumentParser, at_least, complete_by, count, number, or_none, path, share
from search_spaces.programs import program

# Flags that are another spelling of an override.
FLAG_OVERRIDES = {
    "trials": "search.trials",
    "max_flops": "search.max_flops",
    "max_params": "search.max_params",
    "min_accuracy": "search.min_accuracy",
    "epochs": "search.epochs",
    "time_budget": "search.time_budget",
    "seed": "search.seed",
    "storage": "storage.address",
    "address": "cluster.address",
    "gpus_per_trial": "cluster.gpus_per_trial",
    "cpus_per_trial": "cluster.cpus_per_trial",
    "bad_nodes": "cluster.bad_nodes",
    "processes_per_trial": "cluster.processes_per_trial",
    "accelerator": "cluster.accelerator",
    "dashboard": "cluster.dashboard",
    "prior": "search.prior",
}

DESCRIPTION = """\
Search architectures for accuracy against FLOPs, latency or parameters: what each stage of a ResNet is made of,
convolution or local self-attention. With `--space resnet_stages` alone it searches, in minutes, on data that come with
the installation."""

EPILOGUE = """\
examples:
  python nas/search.py --space resnet_stages                         a few minutes on a laptop
  python nas/search.py --space resnet_stages --plan                  what it would do, and nothing else
  python nas/search.py --space resnet_stages data=cifar10 --trials 100 --gpus-per-trial 0.5
  python nas/search.py --space resnet_stages space.depth=[26] 'space.stages.spatial_extent=[3,7]'
  python nas/search.py --space my_space.yaml data=image_folder data.root=/images --max-flops 2e9 --time-budget 12h
  python nas/search.py --space resnet_stages --address auto data=imagenet data.root=/data/imagenet \\
      space.width=[0.5,1.0] --gpus-per-trial 1 --runs-dir /shared/runs
  python nas/search.py --space resnet_stages --address auto --storage s3://BUCKET/PREFIX   no shared directory
  python nas/search.py --space resnet_stages --max-flops 2M --print-config > mine.yaml
  python nas/search.py --config mine.yaml training.epochs=20         the same, but for what follows
  python nas/search.py --resume NAME --trials 200                    go on with a search, and further
  python nas/search.py --space resnet_stages data=cifar10 --prior NAME   propose as one who knows another's results
  python nas/search.py --resume NAME --fork NEW space.depth=[26]     begin another with its results

overrides (KEY=VALUE, before or after the flags):
  data=cluttered_digits|digits|cifar10|cifar100|image_folder|tar_shards|imagenet
                                                 the data set, with the training that suits it; the first comes with
                                                 the installation and is the default
  data.root=DIR data.image_size=N                where it is, and the side of its images in pixels
  recipe=NAME                                    how each trial is trained: one of trainers/recipes/, or a file as those
  training.epochs=N training.batch_size=N …      any field of it
  search.objectives=[val_accuracy,latency_ms]    latency as it is measured, instead of FLOPs; or several, as
                                                 [val_accuracy,flops,params]
  search.sampler=ehvi|tpe|nsga2|random  search.scheduler=pareto|asha|none …                      (nas/conf/search.yaml)
  tracking.uri=http://127.0.0.1:5000             an MLflow server instead of the store in the runs directory
  ledger.url=postgresql://USER:PASSWORD@HOST/DB  a database for the ledger instead of SQLite; better in NAS_LEDGER_URL
  space.stem=[…] space.width=[…] space.stages.heads=[…] space.stage1.operator=[…] …            (search_spaces/*.yaml)
"""


def _name_of_search(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("is '': expected the name of a search")
    return text


def argument_parser(spaces: Sequence[str]) -> argparse.ArgumentParser:
    """The flags of `nas/search.py`; `spaces` are those that come with the project."""
    parser = ArgumentParser(
        prog=program("nas/search.py"),
        usage="%(prog)s --space NAME|FILE.yaml [flags] [KEY=VALUE ...]",
        description=DESCRIPTION,
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        sections=lambda: SECTIONS,
    )
    space = parser.add_argument(
        "--space", type=path, metavar="NAME|FILE", help=f"what to search: {', '.join(spaces)}, or a YAML file"
    )
    complete_by(space, lambda options: spaces, or_files=True)
    _add_limits(parser)
    _add_machines(parser)
    _add_names(parser)
    parser.add_argument("--plan", action="store_true", help="print what would be searched and spent, and start nothing")
    parser.add_argument(
        "--print-config",
        action="store_true",
        help="print every setting as YAML, which --config takes, and start nothing",
    )
    parser.add_argument(
        "--config", type=path, metavar="FILE", help="settings, and the space, from a file that --print-config printed"
    )
    add_runs_directory(parser)
    parser.add_argument(
        "--storage",
        metavar="ADDRESS",
        help="where checkpoints and results are kept instead, as s3://BUCKET/PREFIX or gs://BUCKET/PREFIX",
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help=argparse.SUPPRESS)
    return parser


def _add_limits(parser: ArgumentParser) -> None:
    """What a search looks for and when it stops."""
    parser.add_argument(
        "--trials",
        type=at_least(1),
        metavar="N",
        help="architectures to train (default 24, and 20 of cluttered_digits)",
    )
    parser.add_argument(
        "--max-flops",
        type=or_none(count),
        metavar="X",
        help="never train an architecture with more FLOPs (2 a multiply-add), as 2M or 4e9",
    )
    parser.add_argument(
        "--max-params",
        type=or_none(count),
        metavar="X",
        help="never train an architecture with more parameters, as 500k or 5M",
    )
    parser.add_argument(
        "--min-accuracy",
        type=or_none(share),
        metavar="A",
        help="look for architectures of at least this accuracy, as 0.7",
    )
    parser.add_argument(
        "--epochs",
        type=or_none(at_least(1)),
        metavar="N",
        help="stop after so many epochs of training, all trials together",
    )
    prior = parser.add_argument(
        "--prior",
        action="append",
        type=_name_of_search,
        metavar="NAME",
        help="inform the proposals by what this search found in the same space or a part of it, on other images, "
        "another recipe or with another seed; its results are never taken for results of this one; may be repeated",
    )
    complete_by(prior, existing_searches)
    parser.add_argument(
        "--time-budget",
        type=or_none(str),
        metavar="T",
        help="stop after this time, as 30m or 12h, counted anew by --resume",
    )
    parser.add_argument(
        "--seed", type=number(int, "a whole number"), metavar="N", help="of the proposals and the trials (default 0)"
    )


def _add_machines(parser: ArgumentParser) -> None:
    """Where trials run and what each takes."""
    parser.add_argument(
        "--gpus-per-trial",
        type=number(float, "a number"),
        metavar="X",
        help="GPUs that a trial takes, 0.5 for two trials on one, with half of its memory each (default 0)",
    )
    parser.add_argument(
        "--cpus-per-trial", type=number(float, "a number"), metavar="X", help="CPU cores that a trial takes (default 1)"
    )
    parser.add_argument(
        "--processes-per-trial",
        type=number(int, "a whole number"),
        metavar="N",
        help="processes that train a trial together (default one for each of its GPUs, one without any)",
    )
    parser.add_argument(
        "--address", metavar="ADDRESS", help="join this Ray cluster (`auto`: the one this machine is part of)"
    )
    parser.add_argument(
        "--accelerator",
        metavar="TYPE",
        help="train on GPUs of this type alone, as Ray names it (A100, H100 …), in a cluster of several",
    )
    parser.add_argument(
        "--bad-nodes",
        metavar="refuse|leave-out|warn",
        help="what to do about machines of the cluster that do not pass their check (default refuse)",
    )
    parser.add_argument(
        "--dashboard",
        action="store_const",
        const="true",
        help="start Ray's dashboard, too, for browsers on this machine; it asks for a token, and says where that is",
    )


def _add_names(parser: ArgumentParser) -> None:
    """Which search is begun or gone on with."""
    parser.add_argument("--name", metavar="NAME", help="what to call the search (default: the space and the time)")
    resume = parser.add_argument(
        "--resume",
        metavar="NAME",
        help="go on with this search; limits such as --trials and --time-budget may be raised, or lifted, as by "
        "--time-budget none; the rest stays",
    )
    complete_by(resume, existing_searches)
    parser.add_argument(
        "--fork",
        metavar="NEW",
        help="with --resume NAME: begin a new search with the finished results of that one, on a space or with "
        "settings of its own; data and training stay. They are known to it, and count neither as --trials nor as "
        "--epochs",
    )
