"""Measures what networks cost to run while no trial runs, on the machines of the search, as Ray tasks.

Before the first trial of a search on latency the latency reference, after the last one the members of the front. One
after the other: a second task on the machine would be measured with it. Weights make no difference, so a network is
built anew. What was measured is in the ledger and is never measured again.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import ray
import torch

from nas.ledger.ledger import Ledger
from nas.records.front import front_of
from nas.records.latency_reference import LatencyReference
from nas.settings.search_settings import ClusterSettings
from nas.workers.trial_config import TrialTemplate
from search_spaces.architecture import Architecture
from search_spaces.errors import UserError, first_line
from trainers.inference import measure_inference
from trainers.inference_cost import InferenceCost
from trainers.model import seeded_model

# One that takes longer than this is given up: its machine may be gone.
LIMIT_SECONDS = 600.0


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
    task = _task(cluster)
    failures = []
    for record in waiting:
        answer = _answer(task.remote(record.architecture, template, batch), should_stop)
        if should_stop():
            return
        if isinstance(answer, str):
            failures.append(answer)
        else:
            ledger.record_inference(record.number, answer)
    if failures:
        say(f"latency and memory of {len(failures)} of them could not be measured: {failures[0]}")


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
    task = _task(cluster)
    found = []
    for architecture in architectures:
        answer = _answer(task.remote(architecture, template, batch), should_stop)
        if should_stop():
            return
        if isinstance(answer, str):
            raise UserError(f"the latency of {architecture.label} could not be measured: {answer}.")
        found.append(LatencyReference(architecture, answer.latency_ms, batch))
    ledger.record_latency_reference(max(found, key=lambda reference: reference.latency_ms))


def _task(cluster: ClusterSettings) -> Any:
    return ray.remote(num_cpus=cluster.cpus_per_trial, num_gpus=cluster.gpus_per_trial, max_retries=0)(measured)


def measured(architecture: Architecture, template: TrialTemplate, batch: int) -> InferenceCost | str:
    """What a worker does: the measurement, or why there is none."""
    try:
        torch.set_num_threads(template.threads)
        summary = template.data_summary
        return measure_inference(
            seeded_model(architecture, summary, 0),
            summary,
            batch=batch,
            device=template.device,
            precision=template.training.precision,
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
