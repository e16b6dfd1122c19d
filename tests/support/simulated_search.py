"""Searches that nobody ran: records as a ledger holds them, with results drawn from a plausible formula."""

import math
import random
from dataclasses import replace

from nas.records.pareto import Point, dominates
from nas.records.trial import Outcome, TrialRecord
from search_spaces.architecture import Architecture, Attention
from tests.support.searches import shipped_space
from trainers.data.config import DataSummary
from trainers.epoch_result import EpochResult

DIGITS = DataSummary("digits", 10, 1, 8, 1078, 360, 359)
EPOCHS = 18
RUNGS = (2, 6)
START = 1_790_000_000.0


def simulated_search(trials: int, seed: int = 0) -> list[TrialRecord]:
    """A search of `trials` trained architectures, with successive halving, duplicates, rejections and failures."""
    rng = random.Random(seed)
    space = shipped_space(width=[0.125, 0.25, 0.5], depth=[14, 26, 38])
    anchors = space.anchors()
    limit = 2e7
    records: list[TrialRecord] = []
    known: dict[str, int] = {}
    rungs: dict[int, list[Point]] = {rung: [] for rung in RUNGS}
    while len(known) < trials:
        number = len(records)
        anchor = number < len(anchors)
        architecture = anchors[number] if anchor else space.sample(rng)
        if records and not anchor and rng.random() < 0.04:
            architecture = rng.choice(records).architecture
        cost = DIGITS.cost(architecture)
        outcome: Outcome = "rejected" if cost.flops > limit and not anchor else "running"
        if architecture.id in known:
            outcome = "duplicate"
        record = TrialRecord(
            number=number,
            architecture=architecture,
            flops=cost.flops,
            params=cost.params,
            seed=rng.randrange(2**31),
            outcome=outcome,
            anchor=anchor,
            reason=f"{cost.flops} FLOPs are over the limit" if outcome == "rejected" else None,
            duplicate_of=known.get(architecture.id),
            started_at=START + 20 * number,
            finished_at=START + 20 * number + 60,
        )
        if outcome == "running":
            known[architecture.id] = number
            record = _trained(record, rungs, rng)
        records.append(record)
    return records


def _trained(record: TrialRecord, rungs: dict[int, list[Point]], rng: random.Random) -> TrialRecord:
    """The trial with its epochs: to the end, to the rung that stops it, or to its failure."""
    limit = _accuracy_limit(record.architecture, record.flops) + rng.gauss(0, 0.006)
    fails_after = rng.randrange(1, EPOCHS) if rng.random() < 0.02 and not record.anchor else None
    epochs: list[EpochResult] = []
    outcome: Outcome = "finished"
    reason = None
    for epoch in range(1, EPOCHS + 1):
        if epoch == fails_after:
            outcome, reason = "diverged", f"the loss is not finite in epoch {epoch}"
            break
        accuracy = min(0.995, limit - 0.55 * math.exp(-epoch / 3.5) + rng.gauss(0, 0.004))
        loss = -math.log(max(accuracy, 0.05)) + 0.05
        seconds = 0.6 + record.flops / 2e7
        epochs.append(EpochResult(epoch, 0.8 * loss, loss, accuracy, 0.1 * (1 - epoch / EPOCHS), seconds))
        if epoch in RUNGS:
            point = (accuracy, float(record.flops))
            beaten = sum(dominates(peer, point) for peer in rungs[epoch])
            rungs[epoch].append(point)
            if beaten > 0.05 * len(rungs[epoch]) and not record.anchor:
                outcome, reason = "stopped", f"rung of epoch {epoch}"
                break
    finished = (record.started_at or 0.0) + sum(epoch.epoch_seconds for epoch in epochs)
    return replace(record, outcome=outcome, reason=reason, epochs=tuple(epochs), finished_at=finished)


def _accuracy_limit(architecture: Architecture, flops: int) -> float:
    """Rises with FLOPs and saturates; attention helps in the late stages and costs in the early ones."""
    late = sum(isinstance(blocks[-1], Attention) for blocks in architecture.stages[2:])
    early = sum(isinstance(blocks[-1], Attention) for blocks in architecture.stages[:2])
    return 0.985 - 0.13 * (flops / 1e6) ** -0.6 + 0.006 * late - 0.012 * early
