"""Real searches of equal wall time, one way of searching against another: the hypervolume of the front that each found.

    .venv/bin/python tests/benchmarks/search_comparison.py --seconds 120 --seeds 3
    .venv/bin/python tests/benchmarks/search_comparison.py --seconds 180 data=image_folder data.root=DIR …
    .venv/bin/python tests/benchmarks/search_comparison.py --searches ehvi ehvi,search.inherit=true --seconds 300

Searches are a sampler each, with overrides after commas. They take turns, so that a machine that slows down slows all.
Other overrides go to every search. The hypervolume is the share of the box between (guessing, the highest-cost
architecture's FLOPs) and (accuracy 1, no FLOPs). Seconds are from the first trial's start on.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.ledger.location import read_ledger
from nas.records.front import hypervolume_history
from nas.settings.run_directory import run_directory
from search_spaces.arguments import at_least

PROJECT = Path(__file__).resolve().parents[2]
# More than any search here can train: the time ends it.
MOST_TRIALS = 100_000
# At these shares of the time medians are printed.
MOMENTS = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class Found:
    """What one search came to: what its summary says, and (seconds, hypervolume) after each full training."""

    summary: Mapping[str, Any]
    steps: tuple[tuple[float, float], ...]

    def at(self, seconds: float) -> float:
        """The hypervolume by then; repeated trainings may lower it."""
        return next((volume for moment, volume in reversed(self.steps) if moment <= seconds), 0.0)

    def seconds_to(self, volume: float) -> float:
        """When it had that hypervolume first; infinity where it never had."""
        return next((moment for moment, reached in self.steps if reached >= volume), math.inf)


def search(way: str, seed: int, seconds: int, runs: Path, overrides: Sequence[str]) -> Found:
    """One search: a sampler, and what it is to have beside after commas."""
    sampler, *own = way.split(",")
    name = f"{way.translate(str.maketrans(',=', '--'))}-{seed}"
    command = [
        *(sys.executable, str(PROJECT / "nas" / "search.py"), "--space", "resnet_stages", "--name", name),
        *("--runs-dir", str(runs), "--seed", str(seed), "--time-budget", f"{seconds}s", "--trials", str(MOST_TRIALS)),
        *("data=digits", f"search.sampler={sampler}", *overrides, *own),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    directory = run_directory(str(runs), name)
    ledger = read_ledger(directory, None)
    reference = ledger.header.facts(name, None).reference
    began = min(record.started_at or math.inf for record in ledger.records)
    steps = tuple((moment - began, volume) for moment, volume in hypervolume_history(ledger.records, reference))
    return Found(json.loads(directory.summary.read_text(encoding="utf-8")), steps)


def comparison(found: Mapping[str, Sequence[Found]], seconds: float) -> list[str]:
    """A line for each way: its hypervolume in time, and when it had what the weakest of them has at the end.

    Where a search never had that, its time counts as infinite.
    """
    ends = {way: statistics.median(one.at(math.inf) for one in several) for way, several in found.items()}
    weakest = min(ends.values())
    lines = []
    for way, several in found.items():
        values = [one.at(math.inf) for one in several]
        medians = [statistics.median(one.at(share * seconds) for one in several) for share in MOMENTS[:-1]]
        first = statistics.median(one.seconds_to(weakest) for one in several)
        lines.append(
            f"{way}: median hypervolume {ends[way]:.4f} ({min(values):.4f} to {max(values):.4f}); "
            f"{', '.join(f'{median:.4f}' for median in medians)} at a quarter, half and three quarters of the time; "
            f"{weakest:.4f} after {first:.0f} s"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=at_least(1), default=120, help="of each search, beside its start")
    parser.add_argument("--seeds", type=at_least(1), default=3)
    parser.add_argument("--searches", nargs="+", default=["ehvi", "random", "tpe"], metavar="SAMPLER[,KEY=VALUE…]")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_intermixed_args()
    width = max(map(len, options.searches)) + 2
    found: dict[str, list[Found]] = {way: [] for way in options.searches}
    print(
        f"{'search':<{width}}{'seed':>5}{'hypervolume':>13}{'front':>7}{'best':>9}{'trained':>9}{'finished':>10}"
        f"{'epochs':>8}"
    )
    with tempfile.TemporaryDirectory() as runs:
        for seed in range(options.seeds):
            for way in options.searches:
                one = search(way, seed, options.seconds, Path(runs), options.overrides)
                found[way].append(one)
                summary = one.summary
                best = max((member["val_accuracy"] for member in summary["front"]), default=0.0)
                print(
                    f"{way:<{width}}{seed:>5}{summary['hypervolume']:>13.4f}{len(summary['front']):>7}{best:>9.2%}"
                    f"{summary['architectures_trained']:>9}{summary['counts']['finished']:>10}"
                    f"{summary['epochs_trained']:>8}",
                    flush=True,
                )
    print("\n".join(comparison(found, options.seconds)))


if __name__ == "__main__":
    main()
