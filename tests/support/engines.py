"""An engine on a real ledger without Ray's workers: an accuracy follows from the seed and the epoch."""

from collections.abc import Callable
from pathlib import Path

from nas.engine.engine import Engine
from nas.engine.start import start_engine
from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.workers.asha import AccuracyHalving
from search_spaces.space import Space
from tests.support.searches import DIGITS, epoch_result, search_header, search_settings, shipped_space

EPOCHS, RUNGS = 9, (1, 3)
# Of a full training, where what happens at rungs is not the question.
SHORT = 2


def new_engine(
    path: Path, space: Space | None = None, name: str = "search", full: int = EPOCHS, **settings: object
) -> Engine:
    ledger = Ledger.create(ledger_url(path / f"{name}.db"), name, search_header(code_revision="with this"))
    return engine_on(ledger, space or shipped_space(), full, **settings)


def reopened(engine: Engine, path: Path, name: str = "search", **settings: object) -> Engine:
    ledger = Ledger.open(ledger_url(path / f"{name}.db"), name)
    return engine_on(ledger, engine.space, engine.epochs, **(engine.settings.to_json() | settings))


def engine_on(ledger: Ledger, space: Space, full: int, **settings: object) -> Engine:
    wanted = search_settings(**settings)
    rule = None
    if wanted.scheduler == "asha":
        rule = AccuracyHalving(
            minimum_epochs=wanted.minimum_epochs, epochs=full, reduction_factor=wanted.reduction_factor
        ).should_continue
    return start_engine(ledger, space, DIGITS, wanted, full, rule)


def accuracy_of(seed: int, epoch: int) -> float:
    return (seed % 997) / 997 * (0.5 + 0.5 * epoch / EPOCHS)


def run(
    engine: Engine, trials: int | None = None, accuracy: Callable[[int, int], float] = accuracy_of
) -> list[tuple[int, int]]:
    """Trains every assignment one after the other, with an accuracy that follows from its seed.

    Returns the number and the epochs recorded of each assignment. Given `trials`, it stops after so many.
    """
    assigned: list[tuple[int, int]] = []
    while trials is None or len(assigned) < trials:
        assignment = engine.next_assignment()
        if assignment is None:
            engine.conclude()
            break
        assigned.append((assignment.number, assignment.recorded_epochs))
        for epoch in range(assignment.recorded_epochs + 1, engine.epochs + 1):
            if not engine.report_epoch(assignment.number, epoch_result(epoch, accuracy(assignment.seed, epoch))):
                break
    return assigned


def run_side_by_side(engine: Engine, workers: int) -> list[tuple[int, int]]:
    """The same on several workers, an epoch of each in turn."""
    running: list[tuple[int, int, int]] = []
    assigned = []
    while True:
        while len(running) < workers and (assignment := engine.next_assignment()) is not None:
            assigned.append((assignment.number, assignment.recorded_epochs))
            running.append((assignment.number, assignment.seed, assignment.recorded_epochs + 1))
        if not running:
            return assigned
        number, seed, epoch = running.pop(0)
        if engine.report_epoch(number, epoch_result(epoch, accuracy_of(seed, epoch))):
            running.append((number, seed, epoch + 1))


def told(engine: Engine) -> list[tuple[object, ...]]:
    return [
        (r.architecture, r.seed, r.outcome, r.epochs, r.replicate, r.duplicate_of, r.reason) for r in engine.records
    ]


def epochs_spent(engine: Engine) -> int:
    return sum(len(record.epochs) for record in engine.records)
