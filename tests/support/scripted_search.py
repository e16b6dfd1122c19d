"""A search by the real engine whose epochs are scripted: workers, epochs that take simulated seconds, accuracies."""

import heapq
import itertools
import math
import random
from dataclasses import dataclass
from pathlib import Path

from nas.engine.start import start_engine
from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.records.trial import TrialRecord
from nas.workers.asha import AccuracyHalving
from search_spaces.architecture import Architecture, Attention
from tests.support.searches import DIGITS, search_header, search_settings, shipped_space, unsynchronised_sqlite
from trainers.epoch_result import EpochResult


@dataclass(frozen=True, slots=True)
class Script:
    """Seconds of an epoch, `fixed` and for each MFLOP, with attention so many times as long, times luck about 1."""

    fixed_seconds: float = 0.4
    seconds_per_mflop: float = 0.08
    attention_factor: float = 1.5
    seconds_between: float = 0.15
    seconds_to_start: float = 6.0
    spread: float = 0.2


Sample = tuple[float, tuple[TrialRecord, ...]]


def scripted_search(
    path: Path, *, slots: int, epochs: int, script: Script = Script(), seed: int = 0, **settings: object
) -> list[Sample]:
    """(simulated seconds, trials) after every event of a search in the new ledger at `path`, in order."""
    with unsynchronised_sqlite():
        wanted = search_settings(**({"seed": seed} | settings))
        ledger = Ledger.create(ledger_url(path), "search", search_header(search=wanted))
        rule = None
        if wanted.scheduler == "asha":
            rule = AccuracyHalving(
                minimum_epochs=wanted.minimum_epochs, epochs=epochs, reduction_factor=wanted.reduction_factor
            ).should_continue
        space = shipped_space()
        engine = start_engine(ledger, space, DIGITS, wanted, epochs, rule)
        samples: list[Sample] = []
        rng = random.Random(seed)
        order = itertools.count()
        events: list[tuple[float, int, int, EpochResult]] = []

        def begin(record: TrialRecord, now: float) -> None:
            epoch = len(record.epochs) + 1
            seconds = _epoch_seconds(record, script) * rng.lognormvariate(0, script.spread)
            accuracy = _accuracy(record.architecture, record.flops, epoch / epochs) + rng.gauss(0, 0.004)
            result = EpochResult(epoch, 0.5, 0.5, min(0.999, max(0.0, accuracy)), 0.1, seconds)
            heapq.heappush(events, (now + seconds + script.seconds_between, next(order), record.number, result))

        def fill(now: float) -> None:
            while len(events) < slots and (assignment := engine.next_assignment()) is not None:
                begin(engine.record(assignment.number), now)

        fill(script.seconds_to_start)
        while events:
            now, _, number, result = heapq.heappop(events)
            if engine.report_epoch(number, result):
                begin(engine.record(number), now)
            fill(now)
            samples.append((now, engine.records))
        return samples


def _epoch_seconds(record: TrialRecord, script: Script) -> float:
    blocks = list(itertools.chain(*record.architecture.stages))
    attention = sum(isinstance(block, Attention) for block in blocks) / len(blocks)
    slower = 1 + (script.attention_factor - 1) * attention
    return script.fixed_seconds + script.seconds_per_mflop * record.flops / 1e6 * slower


def _accuracy(architecture: Architecture, flops: int, progress: float) -> float:
    """Rises with FLOPs and saturates; attention helps in the late stages and costs in the early ones."""
    late = sum(isinstance(blocks[-1], Attention) for blocks in architecture.stages[2:])
    early = sum(isinstance(blocks[-1], Attention) for blocks in architecture.stages[:2])
    limit = 0.985 - 0.13 * (flops / 1e6) ** -0.6 + 0.006 * late - 0.012 * early
    return limit - 0.55 * math.exp(-5 * progress)
