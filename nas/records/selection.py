"""Picking one architecture of a front, as `--pick` says."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from nas.records.front import cheapest_within, front_of
from nas.records.latency_choice import LatencyChoice, choose_within, measured_latency
from nas.records.pareto import knee
from nas.records.picks import PICKS
from nas.records.trial import TrialRecord
from search_spaces.errors import UserError, did_you_mean_text, unknown_name
from search_spaces.units import count_of, near_count, readable_flops


@dataclass(frozen=True, slots=True)
class Limit:
    """A cost that `--pick` can limit, and what reads a limit. `cost` is None where it was not measured.

    `near` is what may be meant by a text that is no limit, or None.
    """

    cost: Callable[[TrialRecord], float | None]
    read: Callable[[str], float]
    near: Callable[[str], str | None]
    expected: str
    readable: Callable[[float], str]


def _without(unit: str, text: str) -> str | None:
    """The number in a text that has the unit behind it."""
    number = text[: -len(unit)].strip()
    return number if text.lower().endswith(unit) and number.replace(".", "", 1).isdecimal() else None


LIMITS = {
    "max-flops": Limit(
        lambda record: record.flops, count_of, near_count, "a number of FLOPs, as in max-flops=2M",
        lambda value: f"{value:.0f} ({readable_flops(value)})",
    ),
    "max-params": Limit(
        lambda record: record.params, count_of, near_count, "a number of parameters, as in max-params=5M",
        lambda value: f"{value:,.0f} parameters",
    ),
    "max-memory": Limit(
        lambda record: None if record.inference is None else record.inference.peak_memory_mb,
        float, partial(_without, "mb"), "MB of peak memory, as in max-memory=200", lambda value: f"{value:.3g} MB",
    ),
    "max-latency": Limit(
        lambda record: latency.middle if (latency := measured_latency(record)) else None,
        float, partial(_without, "ms"), "milliseconds, as in max-latency=10", lambda value: f"{value:.3g} ms",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pick:
    """A trial, and what has to be said of the choice where it was not clear."""

    record: TrialRecord
    remark: str | None = None


def pick(records: Sequence[TrialRecord], choice: str) -> Pick:
    """The trial that `choice` means.

    `knee` is where the front bends, `accuracy` its most accurate member, `within=P%` the cheapest that is at most P
    points of accuracy below that, `max-flops=X`, `max-params=X`, `max-memory=MB` and `max-latency=MS` its most
    accurate one within the limit, `trial=N` any trial that was finished or stopped. Of members that are equally
    accurate it is the one of fewer FLOPs, then of fewer parameters, then the earlier one. Latencies are measured, so
    that a limit on them has a rule of its own (`nas.records.latency_choice`). Raises UserError where there is none, or
    the choice is another.
    """
    kind, equals, argument = choice.partition("=")
    if kind == "trial" and equals:
        return Pick(_trial(records, argument))
    if choice not in ("knee", "accuracy") and kind not in (*LIMITS, "within"):
        raise unknown_name("--pick", choice, PICKS)
    members = sorted(front_of(records), key=_preference)
    if not members:
        raise UserError("no architecture of this search was trained to the end, so there is no front to pick from.")
    if kind == "within":
        # By rising cost, and of equal costs as always.
        return Pick(cheapest_within(sorted(members, key=lambda record: record.cost), _points(argument, choice)))
    if choice == "knee":
        return Pick(members[knee([record.point for record in members])])
    if choice == "accuracy":
        return Pick(members[0])
    return _within(members, LIMITS[kind], argument, choice)


def _preference(record: TrialRecord) -> tuple[float, int, int, int]:
    return -record.point[0], record.flops, record.params, record.number


def _within(members: Sequence[TrialRecord], limit: Limit, argument: str, choice: str) -> Pick:
    """The first of `members` whose cost is known and within the limit."""
    most = _number(argument, limit, choice)
    costs = [(cost, record) for record in members if (cost := limit.cost(record)) is not None]
    if not costs:
        raise UserError(
            f"--pick {choice}: no architecture of the front has been measured; "
            "going on with the search, --resume, measures them."
        )
    within: Pick | LatencyChoice | None
    if limit is LIMITS["max-latency"]:
        within = choose_within(members, most)
    else:
        within = next((Pick(record) for cost, record in costs if cost <= most), None)
    if within is None:
        cost, nearest = min(costs, key=lambda known: known[0])
        raise UserError(
            f"--pick {choice}: no architecture of the front is within that; "
            f"the nearest is trial {nearest.number} with {limit.readable(cost)}."
        )
    return Pick(within.record, within.remark)


def _trial(records: Sequence[TrialRecord], argument: str) -> TrialRecord:
    record = next((record for record in records if str(record.number) == argument), None)
    if record is None:
        last = max((record.number for record in records), default=None)
        raise UserError(f"--pick trial={argument}: there is no such trial, expected a number from 0 to {last}.")
    if record.outcome not in ("finished", "stopped") or not record.epochs:
        when = "" if record.epochs else " before its first epoch"
        raise UserError(
            f"--pick trial={argument}: that trial is {record.outcome}{when}, expected one that was finished or stopped."
        )
    return record


def _points(text: str, choice: str) -> float:
    """The points of accuracy of `within=P%`, as a share of 1."""
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = math.nan
    if not 0 <= value <= 100:
        raise UserError(f"--pick {choice}: expected points of accuracy from 0 to 100, as in within=1%.")
    return value / 100


def _number(text: str, limit: Limit, choice: str) -> float:
    try:
        value = limit.read(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        kind, near = choice.partition("=")[0], limit.near(text)
        hint = did_you_mean_text(None if near is None else f"{kind}={near}")
        raise UserError(f"--pick {choice}: expected {limit.expected}.{hint}")
    return value
