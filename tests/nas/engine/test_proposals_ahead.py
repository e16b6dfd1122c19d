"""Proposals made ahead, by the real process: the loop never waits for it, and it is never lost in silence."""

import io
import logging
import os
import pickle
import random
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from nas.engine import policy
from nas.engine.engine import Engine
from nas.engine.proposals_ahead import ATTEMPTS, ProposalsAhead
from nas.engine.proposing import Answer, Question, serve
from nas.records.cost_limits import CostLimits
from nas.strategy.candidates import SpaceCandidates
from nas.strategy.decisions import Decisions
from nas.strategy.posterior import Objective, TrialView
from nas.strategy.proposals import distinct
from search_spaces.space_cost import flops_range
from tests.support.engines import SHORT, accuracy_of, new_engine, run
from tests.support.present import present
from tests.support.searches import DIGITS, epoch_result, shipped_space

WORKERS, PATIENCE_SECONDS = 6, 120
SOURCE = SpaceCandidates(shipped_space(), DIGITS, CostLimits())


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "MOST_IN_THE_LOOP", 3)


@contextmanager
def closing(engine: Engine) -> Iterator[Engine]:
    try:
        yield engine
    finally:
        engine.close()


def processes() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "nas.engine.proposing" in " ".join(child.cmdline())]


def search(engine: Engine, kill_at: int | None = None) -> None:
    """Searches on several workers to the end. With `kill_at` trials the process is killed."""
    running: list[tuple[int, int, int]] = []
    deadline, killed = time.monotonic() + PATIENCE_SECONDS, False
    while time.monotonic() < deadline:
        assignment = engine.next_assignment() if len(running) < WORKERS else None
        if assignment is not None:
            running.append((assignment.number, assignment.seed, assignment.recorded_epochs + 1))
            if len(engine.records) == kill_at and not killed:
                killed = True
                for process in processes():
                    os.kill(process.pid, signal.SIGKILL)
        elif not running:
            return
        elif WORKERS > len(running) > policy.MOST_IN_THE_LOOP and len(engine.records) < engine.settings.trials:
            time.sleep(0.01)  # for what is being worked out
        else:
            number, seed, epoch = running.pop(0)
            if engine.report_epoch(number, epoch_result(epoch, accuracy_of(seed, epoch))):
                running.append((number, seed, epoch + 1))
    raise AssertionError("the search has not ended")


def trained(engine: Engine) -> list[str]:
    return [record.architecture.id for record in engine.records if record.trained]


def decisions() -> Decisions:
    _, high = flops_range(shipped_space(), image_size=16, in_channels=1, classes=10)
    return Decisions(SOURCE, Objective((0.1, high), 9, (1, 3), 1e-3), reduction_factor=3, seed=0)


def history(count: int) -> list[TrialView]:
    drawn = distinct(SOURCE.sample, count, random.Random(0), ()).values()
    return [
        TrialView(n, one, ((n * 37 % 101) / 101,) * (9 if n % 3 else 1), "finished" if n % 3 else "held")
        for n, one in enumerate(drawn)
    ]


def test_what_it_answers_is_what_the_decisions_say() -> None:
    trials = history(24)
    asked, state = decisions(), decisions().state(trials)
    later = TrialView(24, present(state.fresh).candidate, (0.5,) * 9, "finished")
    source, sink = io.BytesIO(), io.BytesIO()
    for message in (decisions(), Question(tuple(trials), 1e9), Question((later,), 8), Question((later,), 0)):
        pickle.dump(message, source)
    source.seek(0)
    serve(source, sink)
    sink.seek(0)
    after = asked.state([*trials, later])
    held = asked.promotion(state, 1e9)
    expected = Answer(held, None) if held is not None else Answer(None, present(state.fresh).candidate)
    assert pickle.load(sink) == expected
    assert pickle.load(sink) == Answer(present(asked.promotion(after, 8)), None)
    assert pickle.load(sink) == Answer(None, present(after.fresh).candidate)


def test_an_error_of_the_decisions_is_raised_in_the_driver() -> None:
    ahead = ProposalsAhead(decisions())
    try:
        ahead.ask({0: "no trial"}, 9)  # type: ignore[dict-item]
        deadline = time.monotonic() + PATIENCE_SECONDS
        with pytest.raises(AttributeError, match="number"):
            while time.monotonic() < deadline:
                assert ahead.take() is None and ahead.asked
                time.sleep(0.01)
    finally:
        ahead.close()
    assert not processes()


def test_a_search_takes_what_was_made_ahead_and_outlives_the_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.WARNING, "nas"),
        closing(new_engine(tmp_path, trials=16, full=SHORT, sampler="ehvi")) as engine,
    ):
        search(engine, kill_at=13)
        assert len(trained(engine)) == len(set(trained(engine))) == 16
        assert len(processes()) == 1
    assert not processes()
    assert [record.getMessage() for record in caplog.records] == [
        "the process that works out what is trained next was killed by SIGKILL: it is started again"
    ]


def test_what_dies_again_and_again_is_gone_on_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "false")
    with (
        caplog.at_level(logging.WARNING, "nas"),
        closing(new_engine(tmp_path, trials=12, full=SHORT, sampler="ehvi")) as engine,
    ):
        search(engine)
        assert len(trained(engine)) == len(set(trained(engine))) == 12
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == ATTEMPTS and "exit code 1" in said[0] and "the search goes on without it" in said[-1]


def test_what_has_been_started_since_is_not_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop itself starts what the process is about to propose, knowing the same."""
    with closing(new_engine(tmp_path, trials=40, full=SHORT, sampler="ehvi", scheduler="none")) as engine:
        run(engine, trials=12)
        monkeypatch.setattr(policy, "MOST_IN_THE_LOOP", -1)
        assert engine.next_assignment() is None  # it is asked
        monkeypatch.setattr(policy, "MOST_IN_THE_LOOP", 100)
        first = present(engine.next_assignment())
        monkeypatch.setattr(policy, "MOST_IN_THE_LOOP", -1)
        deadline, second = time.monotonic() + PATIENCE_SECONDS, None
        while second is None and time.monotonic() < deadline:
            second = engine.next_assignment()
            time.sleep(0.01)
        assert present(second).architecture != first.architecture
        assert len(trained(engine)) == len(set(trained(engine))) == 14


def test_what_was_promoted_ahead_trains_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once one is held, nothing fresh is worth as much; what has gone on since is not promoted again."""
    with closing(new_engine(tmp_path, trials=40, full=4, sampler="ehvi")) as engine:
        run(engine, trials=12)
        held = [record.number for record in engine.records if record.outcome == "held"]
        assert held
        monkeypatch.setattr(engine._policy._decisions, "promotion", lambda state, left: held[0])
        monkeypatch.setattr(policy, "ProposalsAhead", InTheThread)
        monkeypatch.setattr(policy, "MOST_IN_THE_LOOP", -1)
        assert engine.next_assignment() is None
        assert present(engine.next_assignment()).number == held[0]
        assert engine.next_assignment() is None and engine.record(held[0]).outcome == "running"


class InTheThread(ProposalsAhead):
    """Answers at once, by the decisions that it is given themselves."""

    def __init__(self, decisions: Decisions) -> None:
        self._own, self._answer, self.given_up = decisions, None, False

    def close(self) -> None:
        """There is nothing to close."""

    def ask(self, trials: Mapping[int, TrialView], epochs_left: float) -> None:
        promoted = self._own.promotion(self._own.state(list(trials.values())), epochs_left)
        self._answer = Future()
        self._answer.set_result(Answer(promoted, None))


@pytest.mark.parametrize(("sampler", "deterministic"), [("ehvi", True), ("random", False)])
def test_only_what_is_expensive_and_need_not_repeat_itself_is_made_ahead(
    tmp_path: Path, sampler: str, deterministic: bool
) -> None:
    settings: dict[str, Any] = {"sampler": sampler, "deterministic": deterministic, "scheduler": "none"}
    with closing(new_engine(tmp_path, trials=6, full=SHORT, **settings)) as engine:
        search(engine)
        assert len(trained(engine)) == 6 and not processes()
