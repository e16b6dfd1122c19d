"""Measures what networks cost to run while no trial runs, on the machines of the search, as Ray tasks.

Before the first trial of a search on latency the latency reference, after the last one the members of the front. One
after the other: a second task on the machine would be measured with it. And again, until the times agree or a limit is
reached (`trainers.latency_rounds`). Weights make no difference, so a network is built anew. What was measured is in the
ledger and is never measured again.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import ray
import torch

from nas.ledger.ledger import Ledger
from nas.records.front import front_of
from nas.records.latency_reference import LatencyReference
from nas.settings.cluster_settings import ClusterSettings
from nas.workers.latency_devices import most_common_type
from nas.workers.node_resources import accelerator_share
from nas.workers.trial_config import TrialTemplate
from search_spaces.architecture import Architecture
from search_spaces.errors import UserError, first_line
from trainers.inference import measure_inference
from trainers.inference_cost import InferenceCost
from trainers.latency_rounds import ROUND_RUNS, combined, is_enough
from trainers.model import seeded_model

# One that takes longer than this is given up: its machine may be gone.
LIMIT_SECONDS = 600.0
# For so long measurements that do not agree are repeated, all together.
REPEATING_SECONDS = 30.0


def measure_front(
    ledger: Ledger,
    template: TrialTemplate,
    cluster: ClusterSettings,
    batch: int,
    should_stop: Callable[[], bool],
    say: Callable[[str], object],
) -> None:
    """Measures the front's members that have no measurement, until `should_stop()` holds.

    One that cannot be measured is left without; all that went wrong is said in one line.
    """
    front = front_of(ledger.records)
    waiting = [record for record in front if record.inference is None]
    if not waiting or should_stop():
        return
    say(f"measuring latency and memory of the front: {len(waiting)} to go")
    architectures = {record.number: record.architecture for record in waiting}
    failures, unsteady = [], 0
    for number, found in _measurements(architectures, template, most_common_type(cluster), batch, should_stop):
        if isinstance(found, str):
            failures.append(found)
        else:
            ledger.record_inference(number, found)
            unsteady += not found.is_steady
    if failures:
        say(f"latency and memory of {len(failures)} of them could not be measured: {failures[0]}")
    if unsteady:
        say(f"the latency of {unsteady} of them came out otherwise each time and has its range: the machine was busy")


def measure_latency_reference(
    ledger: Ledger,
    architectures: Sequence[Architecture],
    template: TrialTemplate,
    cluster: ClusterSettings,
    batch: int,
    should_stop: Callable[[], bool],
) -> None:
    """Makes the slowest of `architectures` the latency reference of a search without one, unless `should_stop()` holds.

    Raises UserError where one cannot be measured.
    """
    if ledger.latency_reference is not None or should_stop():
        return
    found = []
    numbered = dict(enumerate(architectures))
    for number, answer in _measurements(numbered, template, cluster, batch, should_stop):
        if isinstance(answer, str):
            raise UserError(f"the latency of {numbered[number].label} could not be measured: {answer}.")
        found.append(LatencyReference(numbered[number], answer.latency_ms, batch, cluster.accelerator))
    if not should_stop():
        ledger.record_latency_reference(max(found, key=lambda reference: reference.latency_ms))


def _measurements(
    architectures: Mapping[int, Architecture],
    template: TrialTemplate,
    cluster: ClusterSettings,
    batch: int,
    should_stop: Callable[[], bool],
) -> Iterator[tuple[int, InferenceCost | str]]:
    """Each architecture's number and what it costs, or why that could not be measured, until `should_stop()` holds.

    They are measured in turn, and all of them again as long as one is not settled: what slows the machine for some
    seconds then slows all of them alike.
    """
    task = _task(cluster)
    deadline = time.monotonic() + REPEATING_SECONDS
    rounds: dict[int, list[InferenceCost]] = {number: [] for number in architectures}
    while not all(is_enough(found, time.monotonic() > deadline) for found in rounds.values()):
        for number in list(rounds):
            answer = _answer(task.remote(architectures[number], template, batch), should_stop)
            if should_stop():
                return
            if not isinstance(answer, str):
                rounds[number].append(answer)
            elif rounds[number]:
                # It could be measured, and its machine may be gone: what there is has to do.
                yield number, combined(rounds.pop(number))
            else:
                del rounds[number]
                yield number, answer
    for number, found in rounds.items():
        yield number, combined(found)


def _task(cluster: ClusterSettings) -> Any:
    return ray.remote(
        num_cpus=cluster.cpus_per_trial,
        num_gpus=cluster.gpus_per_trial,
        resources=accelerator_share(cluster),
        max_retries=0,
    )(measured)


def measured(architecture: Architecture, template: TrialTemplate, batch: int) -> InferenceCost | str:
    """What a worker does: the measurement of one round, or why there is none."""
    try:
        torch.set_num_threads(template.threads)
        summary = template.data_summary
        return measure_inference(
            seeded_model(architecture, summary, 0),
            summary,
            batch=batch,
            device=template.device,
            precision=template.training.precision,
            runs=ROUND_RUNS,
        )
    except Exception as error:
        return _reason(error)


def _answer(reference: Any, should_stop: Callable[[], bool]) -> InferenceCost | str:
    """What a task found, or why it found nothing."""
    deadline = time.monotonic() + LIMIT_SECONDS
    try:
        while not ray.wait([reference], timeout=0.2)[0]:
            if should_stop() or time.monotonic() > deadline:
                ray.cancel(reference, force=True)
                return f"it took more than {LIMIT_SECONDS:g} s"
        answer: InferenceCost | str = ray.get(reference)
    except ray.exceptions.RayError as error:
        return _reason(error)
    return answer


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"
