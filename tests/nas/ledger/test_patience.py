"""How long a database that is away is waited for, and that nothing is written twice; the database is a list here."""

from collections.abc import Callable

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from nas.ledger import patience
from nas.ledger.driver_claim import ClaimIsTaken, ClaimLost
from nas.ledger.patience import Patience
from search_spaces.errors import UserError


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_PAUSE_SECONDS", 0.001)


def away() -> Exception:
    return OperationalError("insert", {}, Exception("the server is starting up"))


def in_turn(*answers: object) -> Callable[[], bool | None]:
    """Gives or raises one after the other, and the last for ever."""
    left = list(answers)

    def answer() -> bool | None:
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Exception):
            raise found
        assert found is None or isinstance(found, bool)
        return found

    return answer


def fine() -> None:
    """The claim holds, or is taken up."""


class Attempts:
    """Writes that fail as they are told to, and then add to `written`."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.made, self.written = 0, 0

    def __call__(self) -> None:
        self.made += 1
        if self.failures:
            raise self.failures.pop(0)
        self.written += 1


def test_what_a_database_did_not_take_is_written_once_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    attempts, taken_up = Attempts(away(), away()), in_turn(away(), True)
    Patience(fine, taken_up).write(attempts)
    assert (attempts.made, attempts.written) == (3, 1)
    first, last = (record.getMessage() for record in caplog.records)
    assert first == "the ledger cannot be written, tried again for 120 s: the server is starting up"
    assert last == "the ledger is written again"


def test_each_reason_for_which_it_is_still_away_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    read_only = OperationalError("insert", {}, Exception("read-only"))
    Patience(fine, fine).write(Attempts(away(), away(), read_only, away(), read_only))
    said = [record.getMessage() for record in caplog.records]
    assert said[1:-1] == ["the ledger still cannot be written: read-only"]


@pytest.mark.parametrize(
    ("fates", "made"), [((True,), 1), ((None, None, True), 1), ((None, False), 2), ((away(), True), 1)], ids=str
)
def test_what_was_written_and_not_heard_of_is_not_written_again(fates: tuple[object, ...], made: int) -> None:
    attempts = Attempts(away())
    Patience(fine, fine).write(attempts, in_turn(*fates))
    assert attempts.made == made


def test_one_that_stays_away_is_waited_for_once() -> None:
    patient = Patience(fine, fine, seconds=0.05)
    for least, most in ((3, 1000), (1, 1)):
        attempts = Attempts(*(away() for _ in range(1000)))
        with pytest.raises(OperationalError, match="the server is starting up"):
            patient.write(attempts)
        assert least <= attempts.made <= most


def test_a_claim_that_another_has_is_waited_for_and_then_told() -> None:
    attempts, claim = Attempts(away()), in_turn(ClaimIsTaken("not yet"), ClaimIsTaken("not yet"), True)
    Patience(fine, claim).write(attempts)
    assert attempts.written == 1
    attempts, claim = Attempts(away()), in_turn(ClaimIsTaken("by another driver"))
    with pytest.raises(ClaimIsTaken, match="by another driver"):
        Patience(fine, claim, seconds=0.05).write(attempts)
    assert attempts.made == 1


@pytest.mark.parametrize("mistake", [IntegrityError("insert", {}, Exception("key")), ValueError("ours")], ids=repr)
def test_other_errors_are_raised_at_once(mistake: Exception) -> None:
    attempts = Attempts(mistake)
    with pytest.raises(type(mistake)):
        Patience(fine, fine).write(attempts)
    # Also where they come up once the database is back, as that another driver has gone on with the search.
    attempts, taken_up = Attempts(away()), in_turn(UserError("gone on with"))
    patient = Patience(fine, taken_up)
    for _ in range(2):
        with pytest.raises(UserError, match="gone on with"):
            patient.write(attempts)
        assert attempts.made == 1


def test_a_claim_that_is_lost_while_nothing_is_written_is_taken_up_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = in_turn(ClaimLost("lost"), away(), away(), True)
    taken = in_turn(ClaimIsTaken("not yet"), away(), True)
    asked: list[str] = []

    def check() -> None:
        asked.append("check")
        checks()

    def take_up() -> None:
        asked.append("take up")
        taken()

    patient = Patience(check, take_up)
    monkeypatch.setattr(patience, "LOOK_SECONDS", 0.0)
    for _ in range(4):
        # It waits for nothing, and no error of a database that is away ends a search.
        patient.keep()
        patient._next_look = 0.0
    assert asked == ["check", "take up"] * 3 + ["check"]
    assert [record.getMessage() for record in caplog.records] == [
        "the ledger's database is away: lost",
        "the ledger's database is back",
    ]
    monkeypatch.setattr(patience, "LOOK_SECONDS", 1000.0)
    patient.keep()
    patient.keep()
    assert asked.count("check") == 5


def test_who_lost_the_search_to_another_driver_meanwhile_is_told_so() -> None:
    with pytest.raises(UserError, match="gone on with"):
        Patience(in_turn(away()), in_turn(UserError("gone on with"))).keep()
    with pytest.raises(ValueError, match="ours"):
        Patience(in_turn(ValueError("ours")), fine).keep()


def test_after_it_was_waited_for_in_vain_a_claim_is_taken_up_before_anything_is_written() -> None:
    patient = Patience(fine, fine, seconds=0.05)
    with pytest.raises(OperationalError):
        patient.write(Attempts(*(away() for _ in range(1000))))
    patient._take_up = in_turn(UserError("gone on with"))
    attempts = Attempts()
    with pytest.raises(UserError, match="gone on with"):
        patient.write(attempts)
    assert attempts.made == 0
