"""Who claims what, for every order in which workers may write and read."""

import random
import threading
from collections.abc import Callable, Collection, Sequence

import pytest

from nas.strategy.candidates import Candidate
from nas.strategy.claims import claim

CANDIDATES = [Candidate(str(index), {"index": index}, 1.0, 1.0) for index in range(10)]


class Board:
    """What the workers have published. `turn` is called before anything is written or read."""

    def __init__(self, turn: Callable[[int], None] = lambda number: None) -> None:
        self.held: dict[int, Candidate | None] = {}
        self._turn = turn

    def claim(self, number: int, candidates: Sequence[Candidate] = CANDIDATES) -> Candidate | None:
        """Every worker finds the same candidate best: the first that nobody held when it looked."""

        def propose(passed: Collection[Candidate]) -> Candidate | None:
            self._turn(number)
            others = [candidate for other, candidate in self.held.items() if other != number]
            return next((one for one in candidates if one not in others and one not in passed), None)

        def publish(candidate: Candidate | None) -> None:
            self._turn(number)
            self.held[number] = candidate

        def holders(candidate: Candidate) -> list[int]:
            self._turn(number)
            return [other for other, held in self.held.items() if held == candidate and other != number]

        return claim(number, propose, publish, holders)


class Turns:
    """Lets the workers, each in a thread of its own, do one thing at a time, in an order drawn from a seed."""

    def __init__(self, workers: int, seed: int) -> None:
        self._random = random.Random(seed)
        self._changed = threading.Condition()
        self._waiting: set[int] = set()
        self._busy = workers

    def wait(self, number: int) -> None:
        """Until it is the turn of worker `number`."""
        with self._changed:
            self._waiting.add(number)
            self._busy -= 1
            self._next()
            self._changed.wait_for(lambda: number not in self._waiting, timeout=60)

    def leave(self) -> None:
        with self._changed:
            self._busy -= 1
            self._next()

    def _next(self) -> None:
        if self._busy == 0 and self._waiting:
            self._waiting.remove(self._random.choice(sorted(self._waiting)))
            self._busy = 1
            self._changed.notify_all()


def claims_in_turns(workers: int, seed: int) -> list[Candidate | None]:
    turns = Turns(workers, seed)
    board = Board(turns.wait)
    claimed: dict[int, Candidate | None] = {}

    def work(number: int) -> None:
        claimed[number] = board.claim(number)
        turns.leave()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [claimed[number] for number in range(workers)]


@pytest.mark.parametrize("workers", [2, 3, 5])
def test_no_two_claim_the_same_in_whatever_order_they_write_and_read(workers: int) -> None:
    for seed in range(60):
        claimed = [one.key for one in claims_in_turns(workers, seed) if one is not None]
        assert len(claimed) == len(set(claimed)) == workers, (seed, claimed)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_those_that_meet_go_on_to_different_candidates(number: int) -> None:
    """Three have written the same before any has read: nobody can tell who was first."""
    rivals = {"0": {0, 1, 2} - {number}}
    published: list[Candidate | None] = []

    def propose(passed: Collection[Candidate]) -> Candidate | None:
        return next(one for one in CANDIDATES if one not in passed)

    claimed = claim(number, propose, published.append, lambda candidate: rivals.get(candidate.key, ()))
    assert claimed == CANDIDATES[1 + number] and published == [CANDIDATES[0], claimed]


def test_who_comes_alone_takes_the_best() -> None:
    board = Board()
    assert [board.claim(number) for number in range(3)] == CANDIDATES[:3]


def test_a_worker_that_died_with_a_claim_is_not_waited_for() -> None:
    board = Board()
    board.held = {0: CANDIDATES[0], 1: CANDIDATES[0]}
    assert board.claim(2) == CANDIDATES[1]


def test_nothing_is_held_where_nothing_is_left() -> None:
    board = Board()
    assert board.claim(0, []) is None and board.held == {}

    def late_rival(candidate: Candidate) -> list[int]:
        return [1]

    published: list[Candidate | None] = []
    only = CANDIDATES[0]
    assert claim(2, lambda passed: None if only in passed else only, published.append, late_rival) is None
    assert published == [only, None]
