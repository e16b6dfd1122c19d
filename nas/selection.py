"""Picking one architecture of a front, as `--pick` says."""

from collections.abc import Sequence

from nas.pareto import knee
from nas.records import TrialRecord, front_of, readable_flops
from search_spaces.errors import UserError, unknown_name

PICKS = ("knee", "accuracy", "max-flops=X", "trial=N")


def pick(records: Sequence[TrialRecord], choice: str) -> TrialRecord:
    """The trial that `choice` means: `knee`, `accuracy`, `max-flops=X` (of the front) or `trial=N` (any finished one).

    Raises UserError where there is none, or the choice is another.
    """
    kind, _, argument = choice.partition("=")
    if kind == "trial":
        return _trial(records, argument)
    members = front_of(records)
    if not members:
        raise UserError("no architecture of this search was trained to the end, so there is no front to pick from.")
    if choice == "knee":
        return members[knee([record.point for record in members])]
    if choice == "accuracy":
        return members[-1]
    if kind == "max-flops":
        limit = _number(argument, choice)
        within = [record for record in members if record.flops <= limit]
        if not within:
            cheapest = readable_flops(members[0].flops)
            raise UserError(
                f"--pick {choice}: the cheapest architecture of the front has {members[0].flops} ({cheapest})."
            )
        return within[-1]
    raise unknown_name("--pick", choice, PICKS)


def _trial(records: Sequence[TrialRecord], argument: str) -> TrialRecord:
    record = next((record for record in records if str(record.number) == argument), None)
    if record is None:
        last = max((record.number for record in records), default=None)
        raise UserError(f"--pick trial={argument}: there is no such trial, expected a number from 0 to {last}.")
    if record.outcome != "finished":
        raise UserError(f"--pick trial={argument}: that trial is {record.outcome}, expected one that was finished.")
    return record


def _number(text: str, choice: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"--pick {choice}: expected a number of FLOPs, as in max-flops=2e9.") from None
