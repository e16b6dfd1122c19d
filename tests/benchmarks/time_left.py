"""How true the time left is that a search tells: estimates at every second of simulated searches, beside the truth.

    python -m tests.benchmarks.time_left scripted scripted     # searches by the real engine, epochs of simulated time
    python -m tests.benchmarks.time_left replay scripted/*.trace

Errors are |estimate − truth| / truth, at every second from a third of the time on until 2 % before the end.
"""

import argparse
import pickle
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.driver.time_left import TimeLeftWatch, search_plan
from nas.records.rest_of_search import SearchPlan
from nas.records.time_left import TimeLeft
from nas.records.trial import TrialRecord
from tests.support.searches import DIGITS, search_settings, shipped_space

BASE: dict[str, Any] = {"slots": 2, "epochs": 9, "trials": 50, "sampler": "ehvi", "minimum_epochs": 2}
SCRIPTED: dict[str, dict[str, Any]] = {
    "default": {},
    "asha": {"sampler": "random", "scheduler": "asha"},
    "no-rungs": {"sampler": "random", "scheduler": "none", "trials": 16, "seed": 2},
    "four-slots": {"slots": 4, "epochs": 18, "trials": 30, "seed": 1},
    "confirmed": {"trials": 24, "confirm_front": 3, "seed": 3},
    "replicated": {"trials": 20, "replicates": 2, "seed": 4},
    "eight-slots": {"slots": 8, "epochs": 27, "trials": 80, "minimum_epochs": 1, "seed": 6},
}


@dataclass(frozen=True, slots=True)
class Trace:
    """A search that is over: what it was to train, and (seconds since its start, trials) whenever these changed."""

    plan: SearchPlan
    states: list[tuple[float, tuple[TrialRecord, ...]]]
    seconds: float


@dataclass(frozen=True, slots=True)
class Look:
    """What was told at a moment, and the truth."""

    seconds: float
    truth: float
    left: TimeLeft | None


def script(directory: Path, name: str) -> None:
    """Writes the trace of a scripted search."""
    from tests.support.scripted_search import scripted_search

    settings = BASE | SCRIPTED[name]
    directory.mkdir(parents=True, exist_ok=True)
    ledger = directory / f"{name}.db"
    ledger.unlink(missing_ok=True)
    states = scripted_search(ledger, **settings)
    slots, epochs = settings.pop("slots"), settings.pop("epochs")
    plan = search_plan(search_settings(**settings), epochs, shipped_space(), DIGITS, slots)
    (directory / f"{name}.trace").write_bytes(pickle.dumps(Trace(plan, states, states[-1][0])))


def replay(trace: Trace) -> list[Look]:
    """What would have been told at every second."""
    watch, looks = TimeLeftWatch(trace.plan), []
    records: tuple[TrialRecord, ...] = ()
    upcoming = iter([*trace.states, (float("inf"), records)])
    at, following = next(upcoming)
    for second in range(int(trace.seconds)):
        while at <= second:
            records = following
            at, following = next(upcoming)
        looks.append(Look(second, trace.seconds - second, watch.look(records, second)))
    return looks


def told(name: str, trace: Trace, looks: list[Look]) -> str:
    """A line on how true the looks were."""
    late = [look for look in looks if trace.seconds / 3 <= look.seconds <= 0.98 * trace.seconds]
    pairs = [(look.left, look.truth) for look in late if look.left is not None]
    errors = [abs(left.seconds - truth) / truth for left, truth in pairs]
    within = sum(left.least_seconds <= truth <= left.most_seconds for left, truth in pairs) / max(1, len(pairs))
    first = next((look.seconds for look in looks if look.left is not None), float("nan"))
    if len(errors) < 2:
        return f"{name:<14}{trace.seconds:>7.0f} s   nothing was told"
    return (
        f"{name:<14}{trace.seconds:>7.0f} s   first told after {first / trace.seconds:>4.0%}   error median "
        f"{statistics.median(errors):>4.0%}, 9 in 10 below {statistics.quantiles(errors, n=10)[-1]:>4.0%}   "
        f"truth in the range {within:>4.0%}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["scripted", "replay"])
    parser.add_argument("paths", nargs=argparse.REMAINDER)
    parser.add_argument("--curve", action="store_true", help="print the estimates, too")
    options = parser.parse_args()
    if options.what == "scripted":
        for name in SCRIPTED:
            script(Path(options.paths[0]), name)
        return 0
    for path in map(Path, options.paths):
        trace: Trace = pickle.loads(path.read_bytes())
        looks = replay(trace)
        print(told(path.stem, trace, looks), flush=True)
        for look in looks[:: max(1, len(looks) // 20)] if options.curve else ():
            print(f"  {look.seconds:>6.0f} s: {look.truth:>6.0f} s left, told {look.left}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
