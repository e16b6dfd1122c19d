"""What is trained next, worked out in a process of its own, which runs `main` and is asked through its pipes.

It gets the decisions of a search once, then for each question the trials that are new or have changed since the last
one, and answers each before it reads the next. It ends with whoever started it.
"""

import os
import pickle
import sys
from dataclasses import dataclass
from typing import BinaryIO

from nas.strategy.candidates import Candidate
from nas.strategy.decisions import Decisions
from nas.strategy.posterior import TrialView


@dataclass(frozen=True, slots=True)
class Question:
    """What has changed of the trials, and the epochs that may still be assigned."""

    changed: tuple[TrialView, ...]
    epochs_left: float


@dataclass(frozen=True, slots=True)
class Answer:
    """The number of the held trial to train on, or else what to start. Neither where there is nothing new."""

    promoted: int | None
    fresh: Candidate | None


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answers until nobody asks any more. An error is an answer, too."""
    decisions: Decisions = pickle.load(source)
    trials: dict[int, TrialView] = {}
    while True:
        try:
            question: Question = pickle.load(source)
        except EOFError:
            return
        try:
            trials.update({trial.number: trial for trial in question.changed})
            answer: Answer | Exception = _answer(decisions, trials, question.epochs_left)
        except Exception as error:
            answer = error
        pickle.dump(answer, sink)
        sink.flush()


def _answer(decisions: Decisions, trials: dict[int, TrialView], epochs_left: float) -> Answer:
    state = decisions.state([trials[number] for number in sorted(trials)])
    promoted = decisions.promotion(state, epochs_left)
    if promoted is not None:
        return Answer(promoted, None)
    return Answer(None, None if state.fresh is None else state.fresh.candidate)


def main() -> None:
    """Answers through standard input and output."""
    # Whatever else is printed shall not come between the answers.
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        serve(sys.stdin.buffer, answers)
