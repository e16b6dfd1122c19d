"""The driver of a search at scale: as many slots and trials as asked for, whose epochs are there at once.

    .venv/bin/python tests/benchmarks/scale.py [--slots 1000] [--trials 10000] [KEY=VALUE …]

The command, the engine, the ledger, MLflow and Ray Tune's loop are those of every search; only the workers are made up:
Ray Tune asks an object of this file instead of actors, so no process is started and no network is trained. KEY=VALUE
are overrides of the search; without any it samples at random and trains everything to the end, so that what it
measures is the loop. Prints the trial events (trials begun, epochs, trials ended) a second, what the main thread spent
its time on, what the writer of MLflow took, and the memory of the driver.
"""

import argparse
import functools
import math
import os
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil

from nas.settings.cluster_settings import ClusterSettings
from nas.workers.ray_environment import set_ray_environment

if __name__ == "__main__":
    # Ray reads it when it is loaded.
    set_ray_environment(ClusterSettings(address=None, gpus_per_trial=0, cpus_per_trial=1))

from ray.air.execution._internal.tracked_actor import TrackedActor

from nas.driver import session
from nas.driver.search_view import SearchView
from nas.engine.dispatcher import Dispatcher
from nas.engine.policy import SearchPolicy
from nas.ledger.ledger import Ledger
from nas.ledger.trial_rows import TrialRows
from nas.records.whereabouts import GpuUse
from nas.search import main as search
from nas.tracking.writer_thread import TrackerThread
from nas.workers.scheduler import EngineScheduler
from nas.workers.searcher import EngineSearcher
from nas.workers.trial_config import EpochReport, TrialConfig, WorkerMessage
from nas.workers.tuner import run_trials
from trainers.epoch_result import EpochResult

EPOCHS = 4
SLOTS_OF_A_NODE = 8
LOOP = (
    "data=digits", f"training.epochs={EPOCHS}", "search.sampler=random", "search.scheduler=none",
    "search.minimum_epochs=1", "search.keep_checkpoints=none",
)  # fmt: skip

LEDGER, DECISIONS, ADAPTERS, VIEW = "ledger", "proposals and decisions", "searcher and scheduler", "summaries"
REST = "Ray Tune and the rest"
PARTS: dict[str, tuple[tuple[type, str], ...]] = {
    LEDGER: (
        (TrialRows, "flush"),
        (Ledger, "register"),
        (Ledger, "record_place"),
        (Ledger, "record_epoch"),
        (Ledger, "record_continuation"),
        (Ledger, "hold"),
        (Ledger, "promote"),
        (Ledger, "end"),
    ),
    DECISIONS: ((Dispatcher, "next"), (Ledger, "propose"), (SearchPolicy, "should_continue")),
    ADAPTERS: (
        (EngineSearcher, "suggest"),
        (EngineSearcher, "on_trial_complete"),
        (EngineScheduler, "on_trial_result"),
        (EngineScheduler, "choose_trial_to_run"),
    ),
    VIEW: ((SearchView, "state"),),
}


class Shares:
    """What each part took of the main thread, without what is nested in it of another part: seconds, and those of CPU.

    Of other threads it is the CPU alone.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.processor_seconds: dict[str, float] = {}
        self.other_threads: dict[str, float] = {}
        self.events = 0
        self.memory: list[tuple[int, float]] = []
        self._stack: list[str] = []
        self._since = (0.0, 0.0)

    def _switch(self) -> None:
        now = time.perf_counter(), time.thread_time()
        if self._stack:
            part = self._stack[-1]
            self.seconds[part] = self.seconds.get(part, 0.0) + now[0] - self._since[0]
            self.processor_seconds[part] = self.processor_seconds.get(part, 0.0) + now[1] - self._since[1]
        self._since = now

    def counted(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, its time counted."""

        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                return function(*arguments, **named)
            self._switch()
            self._stack.append(part)
            try:
                return function(*arguments, **named)
            finally:
                self._switch()
                self._stack.pop()

        return call

    def counted_thread(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, which another thread runs, its CPU time counted."""

        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            started = time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                self.other_threads[part] = self.other_threads.get(part, 0.0) + time.thread_time() - started

        return call

    def event(self) -> None:
        if self.events % 2_000 == 0:
            self.memory.append((self.events, psutil.Process().memory_info().rss / 1e6))
        self.events += 1


class Workers:
    """Stands in for Ray's actors: every call is answered, in the order in which they were made, when it is asked for.

    An epoch is there at once, its accuracy a function of the trial and the epoch.
    """

    def __init__(self, shares: Shares, resource_manager: object) -> None:
        self._shares = shares
        self._answers: deque[tuple[TrackedActor, Callable[[], object]]] = deque()
        self._configs: dict[TrackedActor, Mapping[str, Any]] = {}
        self._epochs: dict[TrackedActor, int] = {}
        self._made = 0
        self._live_actors_to_ray_actors_resources: dict[TrackedActor, tuple[None, None]] = {}

    def add_actor(
        self, cls: type, resource_request: object, kwargs: Mapping[str, Any], on_start: Any, on_stop: Any, on_error: Any
    ) -> TrackedActor:
        self._made += 1
        actor = TrackedActor(self._made, on_start, on_stop, on_error)
        self._begin(actor, kwargs["config"])
        self._live_actors_to_ray_actors_resources[actor] = (None, None)
        self._answers.append((actor, lambda: on_start(actor)))
        return actor

    def _begin(self, actor: TrackedActor, config: Mapping[str, Any]) -> None:
        self._configs[actor], self._epochs[actor] = config, TrialConfig.from_config(config).recorded_epochs

    def remove_actor(self, tracked_actor: TrackedActor, kill: bool = False, stop_future: object = None) -> bool:
        if self._live_actors_to_ray_actors_resources.pop(tracked_actor, None) is None:
            return False
        self.clear_actor_task_futures(tracked_actor)
        del self._configs[tracked_actor], self._epochs[tracked_actor]
        stopped: Any = tracked_actor._on_stop
        if stopped is not None:
            self._answers.append((tracked_actor, lambda: stopped(tracked_actor)))
        return True

    def clear_actor_task_futures(self, tracked_actor: TrackedActor) -> None:
        self._answers = deque(answer for answer in self._answers if answer[0] is not tracked_actor)

    def schedule_actor_task(
        self,
        tracked_actor: TrackedActor,
        method_name: str,
        args: tuple[Any, ...] = (),
        kwargs: object = None,
        on_result: Any = None,
        on_error: Any = None,
        _return_future: bool = False,
    ) -> None:
        if method_name == "reset":
            self._begin(tracked_actor, args[0])
        if on_result is not None:
            self._answers.append(
                (tracked_actor, lambda: on_result(tracked_actor, self._result(tracked_actor, method_name)))
            )

    def _result(self, actor: TrackedActor, method_name: str) -> object:
        if method_name != "train":
            return True
        config = self._configs[actor]
        self._epochs[actor] += 1
        epoch, number = self._epochs[actor], TrialConfig.number_in(config)
        accuracy = 0.9 - 0.5 * math.exp(-epoch) - 0.3 * (number * 0.618 % 1)
        report = EpochReport(EpochResult(epoch, 0.5, 0.5, accuracy, 0.1, 1.0), GpuUse(1, 80, 0.9))
        result = WorkerMessage(report).to_result()
        return {**result, "training_iteration": epoch, "done": False, "time_total_s": float(epoch)}

    def next(self, timeout: float | None = None) -> bool:
        if not self._answers:
            return False
        self._answers.popleft()[1]()
        return True

    def is_actor_started(self, tracked_actor: TrackedActor) -> bool:
        # Ray Tune waits ten seconds at the end for those that were told to stop and are still there.
        return tracked_actor in self._live_actors_to_ray_actors_resources

    def is_actor_failed(self, tracked_actor: TrackedActor) -> bool:
        return False

    def get_live_actors_resources(self) -> dict[str, float]:
        return {"CPU": float(self.num_live_actors)}

    @property
    def num_live_actors(self) -> int:
        return len(self._live_actors_to_ray_actors_resources)

    num_total_actors = num_live_actors
    num_pending_actors = 0

    @property
    def num_actor_tasks(self) -> int:
        return len(self._answers)

    def cleanup(self) -> None:
        self._answers.clear()


def run_at_scale(slots: int, trials: int, overrides: tuple[str, ...], runs: Path) -> tuple[Shares, float]:
    """Runs a search at scale in `runs`; what its parts took, and how many seconds its trials."""
    shares, took = Shares(), [0.0]
    nodes = {
        f"{place:032x}": {
            "NodeID": f"{place:032x}", "NodeManagerHostname": f"node{place}", "Alive": True,
            "Resources": {"CPU": float(min(SLOTS_OF_A_NODE, slots - place * SLOTS_OF_A_NODE))},
        }
        for place in range(math.ceil(slots / SLOTS_OF_A_NODE))
    }  # fmt: skip

    def timed(*arguments: Any, **named: Any) -> None:
        started = time.perf_counter()
        shares.counted(REST, run_trials)(*arguments, **named)
        took[0] = time.perf_counter() - started

    report, register, end = Ledger.record_epoch, Ledger.register, Ledger.end
    with ExitStack() as patches:
        for part, functions in PARTS.items():
            for owner, name in functions:
                function = getattr(owner, name)
                if owner is Ledger and function in (report, register, end):
                    function = _with(shares.event, function)
                patches.enter_context(patch.object(owner, name, shares.counted(part, function)))
        attempt = shares.counted_thread("MLflow", TrackerThread._attempt)
        patches.enter_context(patch.object(TrackerThread, "_attempt", attempt))
        for module in ("nas.workers.nodes", "nas.workers.ray_cluster"):
            patches.enter_context(patch(f"{module}.living_nodes", lambda: nodes))
        patches.enter_context(patch("nas.search.set_ray_environment", lambda cluster: None))
        patches.enter_context(patch.object(session, "run_trials", timed))
        patches.enter_context(patch.object(session, "measure_front", lambda *arguments: None))
        workers = functools.partial(Workers, shares)
        patches.enter_context(patch("ray.tune.execution.tune_controller.RayActorManager", workers))
        code = search(
            [
                "--space",
                "resnet_stages",
                "--name",
                "scale",
                "--trials",
                str(trials),
                "--runs-dir",
                str(runs),
                *overrides,
            ]
        )
    if code:
        sys.exit(code)
    shares.memory.append((shares.events, psutil.Process().memory_info().rss / 1e6))
    return shares, took[0]


def _with(before: Callable[[], object], function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        before()
        return function(*arguments, **named)

    return call


def main() -> None:
    """Runs a command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--runs-dir", type=Path, help="where to keep the search (default: nowhere)")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    given = parser.parse_intermixed_args()
    # What Ray still writes as it ends may keep the folder there, which is no reason to lose what was measured.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        runs = given.runs_dir or Path(scratch)
        shares, seconds = run_at_scale(given.slots, given.trials, (*LOOP, *given.overrides), runs)
    print(f"\n{given.slots} slots, {given.trials} trials, {shares.events} events in {seconds:.1f} s: "
          f"{shares.events / seconds:.0f} events a second")  # fmt: skip
    for part, share in sorted(shares.seconds.items(), key=lambda item: -item[1]):
        busy = shares.processor_seconds[part]
        each = 1000 * busy / shares.events
        print(f"  {part:28} {share:8.1f} s  {share / seconds:5.1%}; of CPU {busy:8.1f} s, {each:6.2f} ms an event")
    for part, share in shares.other_threads.items():
        print(f"  {part + ', a thread beside it':28} {share:8.1f} s of CPU")
    busy = sum(shares.processor_seconds.values())
    print(f"  {shares.events / busy:.0f} events for each second of CPU of the main thread")
    print("  memory, MB after so many events: " + ", ".join(f"{mb:.0f} ({events})" for events, mb in shares.memory))
    print(f"  load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
