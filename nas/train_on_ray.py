"""Trains a bundle's network fully on a Ray cluster, as torchrun would on the machines of its own.

python nas/train_on_ray.py BUNDLE --processes N [--address auto] [--gpus-per-process 1] [what trainers/train.py takes]
"""

if __name__ == "__main__":
    import os
    import sys

    # Where nobody has installed the project, it is found beside this script.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from search_spaces.installed import require_installed

    require_installed()

from search_spaces.ctrl_c import end_on_ctrl_c, ending_on_ctrl_c

if __name__ == "__main__":
    # What is imported next takes a while, and may not be installed.
    end_on_ctrl_c()
    from search_spaces.extras import require_search

    require_search("nas/train_on_ray.py")

import argparse
import sys
from collections.abc import Sequence

from nas.settings.cluster_settings import ClusterSettings
from nas.workers.ray_environment import check_cluster, set_ray_environment
from search_spaces.arguments import ArgumentParser, number
from search_spaces.errors import UserError
from search_spaces.exit_codes import INTERRUPTED, MISTAKE
from search_spaces.machine import Needs, prepare_machine
from search_spaces.pasted_commands import shell_word
from search_spaces.programs import program
from search_spaces.standard_streams import run_program
from trainers.stopping import EndedEarly, StopSignals

# Ray's own processes, and those that train.
NEEDS = Needs(open_files=512, threads=512, file_bytes=160_000_000)
MOST_PROCESSES, MOST_RESTARTS = 4096, 1000


def argument_parser() -> argparse.ArgumentParser:
    """The flags of `nas/train_on_ray.py` itself."""
    parser = ArgumentParser(
        prog=program("nas/train_on_ray.py"),
        usage="%(prog)s BUNDLE [SETTING=VALUE ...] [flags]",
        description="Train a bundle's network fully with several processes of a Ray cluster, such as the one that "
        "searched. BUNDLE, settings and all other flags are those of trainers/train.py, which each process runs as "
        "under torchrun: see its --help. All nodes have to see the bundle, the images and the output directory. "
        "Where a process dies, all are started again and go on from the last checkpoint.",
        allow_abbrev=False,
    )
    whole, real = number(int, "a whole number"), number(float, "a number")
    parser.add_argument("--processes", type=whole, metavar="N", help="how many processes train together")
    parser.add_argument(
        "--address", metavar="ADDRESS", help="join this Ray cluster (`auto`: the one this machine is part of)"
    )
    parser.add_argument(
        "--gpus-per-process", type=real, default=0.0, metavar="N", help="1 on GPUs (default: 0, on CPUs)"
    )
    parser.add_argument("--cpus-per-process", type=real, default=1.0, metavar="N", help="default: 1")
    parser.add_argument(
        "--max-restarts", type=whole, default=3, metavar="N", help="how often it goes on by itself (default: 3)"
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs a command line. The exit code: 0, 1 for a failure, 2 for a mistake, 130 after Ctrl-C, 143 after SIGTERM,
    129 after SIGHUP.
    """
    with StopSignals() as signals:
        try:
            options, training = argument_parser().parse_known_args(list(arguments))
            cluster = _checked(options)
            check_cluster(cluster)
            prepare_machine(NEEDS)
            set_ray_environment(cluster)
            with ending_on_ctrl_c():
                from nas.driver.training_on_ray import train_on_ray

            command = " ".join(map(shell_word, ["python", sys.argv[0], *arguments]))
            return train_on_ray(options, training, cluster, command)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return MISTAKE
        except EndedEarly:
            print("\ninterrupted before anything was started", file=sys.stderr)
            return signals.exit_code
        except KeyboardInterrupt:
            print("\ninterrupted", file=sys.stderr)
            return INTERRUPTED


def _checked(options: argparse.Namespace) -> ClusterSettings:
    if options.processes is None:
        raise UserError("--processes is missing: expected how many processes train together, as --processes 8.")
    for name, most, least in (("processes", MOST_PROCESSES, 1), ("max_restarts", MOST_RESTARTS, 0)):
        if not least <= getattr(options, name) <= most:
            raise UserError(
                f"--{name.replace('_', '-')} is {getattr(options, name)}: expected a whole number from {least} to "
                f"{most:,}."
            )
    if options.gpus_per_process not in (0, 1):
        raise UserError(f"--gpus-per-process is {options.gpus_per_process:g}: expected 1, or 0 on CPUs.")
    if not 0 < options.cpus_per_process < float("inf"):
        raise UserError(f"--cpus-per-process is {options.cpus_per_process:g}: expected a number above 0.")
    return ClusterSettings(options.address, options.gpus_per_process, options.cpus_per_process)


if __name__ == "__main__":
    sys.exit(run_program(main))
