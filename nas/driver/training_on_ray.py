"""A full training on a Ray cluster: its processes started, started again when one has died, and ended in order."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from nas.driver.interruption import kill_descendants
from nas.settings.cluster_settings import ClusterSettings
from nas.workers.ray_cluster import started_ray
from nas.workers.ray_watch import watched_ray
from nas.workers.training_hosts import follow_training, start_training, training_hosts
from search_spaces.exit_codes import FAILURE, INTERRUPTED, MISTAKE, SUCCESS, TERMINATED
from search_spaces.units import counted
from trainers.stopping import EndedEarly, StopSignals


def verdict(codes: Sequence[int], *, requested: bool) -> int | None:
    """The exit code of a training whose processes have ended with these; None where it may go on by itself.

    It may where one was killed, as by the machine or with its node; the others then end by what they lose with it. Nor
    has a training ended where its processes were told to end and this one, which is to tell them (`requested`), was
    not: so they are where Ray's process above them dies, or before their machine is taken away.
    """
    if not any(codes):
        return SUCCESS
    for code in (MISTAKE, INTERRUPTED):
        if code in codes:
            return code
    if TERMINATED in codes:
        return TERMINATED if requested else None
    return None if min(codes) < 0 else FAILURE


def what_ended(codes: Sequence[int]) -> str:
    """Which process ended a training that may go on by itself, in words."""
    killed = [rank for rank, code in enumerate(codes) if code < 0]
    rank = killed[0] if killed else list(codes).index(TERMINATED)
    return f"process {rank + 1} of {len(codes)} was {'killed' if killed else 'told to end'}"


def train_on_ray(options: argparse.Namespace, training: Sequence[str], cluster: ClusterSettings, command: str) -> int:
    """Trains with `training`, the arguments of trainers/train.py, and gives the exit code.

    `command` goes on with the training. Raises UserError where the cluster cannot be had, or has no room.
    """

    def end_now(message: str, code: int) -> None:
        # What is trained is checkpointed by its own processes, whose hosts are gone.
        sys.stderr.write(f"{message.rstrip()} To go on: {command}\n")
        sys.stderr.flush()
        kill_descendants()
        os._exit(code)

    # Ray, as it starts, takes SIGTERM for its own.
    with started_ray(cluster), watched_ray(cluster, end_now), StopSignals() as signals:
        signals.claim()

        def requested() -> int | None:
            if not signals.requested():
                return None
            return signal.SIGINT if signals.exit_code == INTERRUPTED else signal.SIGTERM

        for restarts_left in range(options.max_restarts, -1, -1):
            try:
                with training_hosts(options.processes, cluster, signals.requested) as hosts:
                    start_training(hosts, training, command, on_gpus=options.gpus_per_process > 0)
                    codes = follow_training(hosts, requested)
            except EndedEarly:
                print(f"\ninterrupted; to go on: {command}", file=sys.stderr)
                return signals.exit_code
            code = verdict(codes, requested=signals.requested())
            if code is not None:
                # What a terminal that is closed says, its processes hear as SIGTERM.
                return signals.exit_code if code == TERMINATED else code
            said = what_ended(codes)
            if signals.requested():
                print(f"error: {said}; to go on: {command}", file=sys.stderr)
                return signals.exit_code
            if restarts_left:
                print(f"warning: {said}: goes on from its checkpoint", file=sys.stderr, flush=True)
    again = f", after {counted(options.max_restarts, 'restart')}" if options.max_restarts else ""
    print(f"error: {said}{again}; to go on: {command}", file=sys.stderr)
    return FAILURE
