"""Deterministic searches: the same ledger however results arrive and however often the driver dies."""

import random
from pathlib import Path
from typing import Any

import pytest

from nas.engine.engine import Engine
from nas.engine.start import start_engine
from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.records.trial import TrialRecord
from nas.workers.asha import AccuracyHalving
from search_spaces.errors import UserError
from search_spaces.space import Space
from tests.support.present import present
from tests.support.searches import (
    DIGITS,
    epoch_result,
    search_header,
    search_settings,
    shipped_space,
    tiny_space,
)

EPOCHS, SLOTS = 9, 3
FIRST: dict[str, Any] = {"sampler": "ehvi", "trials": 14}
SETTINGS = [
    FIRST,
    {"sampler": "tpe", "scheduler": "asha", "trials": 12},
    {"sampler": "ehvi", "trials": 14, "minimum_epochs": 4, "inherit": True},
    pytest.param({"sampler": "ehvi", "trials": 30, "epochs": 70}, marks=pytest.mark.slow),
    pytest.param({"sampler": "nsga2", "scheduler": "none", "trials": 6, "replicates": 2}, marks=pytest.mark.slow),
    pytest.param({"sampler": "random", "trials": 10, "confirm_front": 2}, marks=pytest.mark.slow),
]


def engine_on(ledger: Ledger, space: Space, deterministic: bool = True, **settings: object) -> Engine:
    wanted = search_settings(deterministic=deterministic, **settings)
    rule = None
    if wanted.scheduler == "asha":
        rule = AccuracyHalving(
            minimum_epochs=wanted.minimum_epochs, epochs=EPOCHS, reduction_factor=wanted.reduction_factor
        ).should_continue
    return start_engine(ledger, space, DIGITS, wanted, EPOCHS, rule)


def accuracy_of(seed: int, epoch: int) -> float:
    return (seed % 997) / 997 * (0.5 + 0.5 * epoch / EPOCHS)


def diverges(seed: int, epoch: int) -> bool:
    return seed % 11 == 0 and epoch >= 2


def search(
    path: Path, order: random.Random | None, workers: int, cuts: int = 0, space: Space | None = None, **settings: Any
) -> tuple[TrialRecord, ...]:
    """A search whose workers report in a random order, and whose driver dies `cuts` times at a random moment.

    Without an `order` each worker trains its trial as far as it may before the next one does anything.
    """
    url, space = ledger_url(path), space or shipped_space()
    engine = engine_on(Ledger.create(url, "search", search_header(slots=SLOTS)), space, **settings)
    running: list[tuple[int, int, int]] = []
    reports = 0
    cut_at = {(order or random).randrange(5, 90) for _ in range(cuts)}
    while True:
        while len(running) < workers and (assignment := engine.next_assignment()) is not None:
            running.append((assignment.number, assignment.seed, assignment.recorded_epochs + 1))
        if not running:
            assert engine.idle
            engine.conclude()
            return engine.records
        number, seed, epoch = running.pop(order.randrange(len(running)) if order else 0)
        reports += 1
        if reports in cut_at:
            engine, running = engine_on(Ledger.open(url, "search"), space, **settings), []
        elif diverges(seed, epoch):
            engine.end(number, "diverged", f"the loss is not finite in epoch {epoch}")
        elif engine.report_epoch(number, epoch_result(epoch, accuracy_of(seed, epoch))):
            running.insert(0, (number, seed, epoch + 1))


def by_the_clock(path: Path, **settings: Any) -> tuple[TrialRecord, ...]:
    """The ordinary engine on workers that take for an epoch exactly what virtual time says: a naive simulation."""
    space = shipped_space()
    engine = engine_on(
        Ledger.create(ledger_url(path), "search", search_header(slots=SLOTS)), space, deterministic=False, **settings
    )
    overhead = sum(DIGITS.cost(anchor).flops for anchor in space.anchors()) // len(space.anchors())
    events: list[tuple[int, int, int, int]] = []
    now = 0

    def plan(number: int, seed: int, epoch: int) -> None:
        events.append((now + engine.ledger.record(number).flops + overhead, number, seed, epoch))

    while True:
        while len(events) < SLOTS and (assignment := engine.next_assignment()) is not None:
            plan(assignment.number, assignment.seed, assignment.recorded_epochs + 1)
        if not events:
            engine.conclude()
            return engine.records
        events.sort()
        now, number, seed, epoch = events.pop(0)
        if engine.report_epoch(number, epoch_result(epoch, accuracy_of(seed, epoch))):
            plan(number, seed, epoch + 1)


def told(records: tuple[TrialRecord, ...]) -> list[tuple[Any, ...]]:
    return [
        (r.number, r.architecture, r.seed, r.outcome, r.epochs, r.replicate, r.duplicate_of, r.reason) for r in records
    ]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "-".join(map(str, settings.values())))
def test_neither_the_order_of_results_nor_a_dead_driver_changes_anything(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    expected = told(search(tmp_path / "0.db", None, SLOTS, **settings))
    assert {outcome for _, _, _, outcome, *_ in expected} & {"finished", "stopped"}
    for seed, (workers, cuts) in enumerate([(SLOTS, 0), (1, 3), (7, 6)], 1):
        order = random.Random(seed)
        assert told(search(tmp_path / f"{seed}.db", order, workers, cuts, **settings)) == expected


def test_trials_diverge_in_these_searches(tmp_path: Path) -> None:
    records = search(tmp_path / "search.db", random.Random(0), SLOTS, **FIRST)
    assert "diverged" in {record.outcome for record in records}


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "-".join(map(str, settings.values())))
def test_it_decides_as_workers_would_that_take_what_costs_say(
    tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "diverges", lambda seed, epoch: False)
    expected = told(by_the_clock(tmp_path / "clock.db", **settings))
    assert told(search(tmp_path / "search.db", random.Random(1), SLOTS, 2, **settings)) == expected


def test_a_small_space_is_exhausted(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"sampler": "ehvi", "trials": 100, "scheduler": "none"}
    records = search(tmp_path / "search.db", random.Random(2), SLOTS, 2, tiny_space(), **settings)
    assert len(records) == len({record.architecture.id for record in records}) == 16


def test_a_worker_that_dies_is_replaced_and_what_dies_twice_is_out(tmp_path: Path) -> None:
    engine = engine_on(
        Ledger.create(ledger_url(tmp_path / "search.db"), "search", search_header(slots=SLOTS)),
        shipped_space(),
        trials=4,
    )
    first = present(engine.next_assignment())
    engine.worker_died(first.number, "killed", "crashed")
    others = [present(engine.next_assignment()) for _ in range(SLOTS)]
    assert [assignment.number for assignment in others] == [1, 2, first.number]
    engine.worker_died(first.number, "killed", "crashed")
    for assignment in others[:2]:
        epoch = 1
        while engine.report_epoch(assignment.number, epoch_result(epoch, 0.5)):
            epoch += 1
    assert engine.ledger.record(first.number).outcome == "crashed"
    assert present(engine.next_assignment()).number == SLOTS


def test_a_trial_that_is_given_back_waits_for_where_it_may_run_and_can_be_ended_there(tmp_path: Path) -> None:
    engine = engine_on(
        Ledger.create(ledger_url(tmp_path / "search.db"), "search", search_header(slots=SLOTS)),
        shipped_space(),
        trials=4,
    )
    begun = [present(engine.next_assignment()).number for _ in range(SLOTS)]
    for number in begun[:2]:
        engine.give_back(number)
    engine.give_back(begun[0])
    assert engine.has_waiting and engine.next_assignment(lambda number: False) is None
    assert present(engine.next_assignment(lambda number: number != begun[0])).number == begun[1]
    engine.end(begun[0], "failed", "it failed everywhere")
    assert engine.record(begun[0]).outcome == "failed" and engine.record(begun[0]).deaths == 0
    # Its place is another's.
    assert present(engine.next_assignment()).number == SLOTS


def test_measured_latency_cannot_be_the_same_twice() -> None:
    with pytest.raises(UserError, match=r"search\.deterministic"):
        search_settings(deterministic=True, objectives=("val_accuracy", "latency_ms"))
