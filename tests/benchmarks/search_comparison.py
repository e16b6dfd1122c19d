"""Real searches of equal wall time, one sampler against another: the hypervolume of the front that each found.

    .venv/bin/python tests/benchmarks/search_comparison.py --seconds 120 --seeds 3
    .venv/bin/python tests/benchmarks/search_comparison.py --seconds 180 data=image_folder data.root=DIR …

Samplers take turns, so that a machine that slows down slows all of them. Overrides go to every search. The hypervolume
is the share of the box between (guessing, the highest-cost architecture's FLOPs) and (accuracy 1, no FLOPs).
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
# More than any search here can train: the time ends it.
MOST_TRIALS = 100_000


def search(sampler: str, seed: int, seconds: int, runs: Path, overrides: list[str]) -> dict[str, Any]:
    """What summary.json says of one search."""
    name = f"{sampler}-{seed}"
    command = [
        *(sys.executable, str(PROJECT / "nas" / "search.py"), "--space", "resnet_stages", "--name", name),
        *("--runs-dir", str(runs), "--seed", str(seed), "--time-budget", f"{seconds}s", "--trials", str(MOST_TRIALS)),
        *("data=digits", f"search.sampler={sampler}", *overrides),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return dict(json.loads((runs / name / "summary.json").read_text(encoding="utf-8")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=120, help="of each search, beside its start")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samplers", nargs="+", default=["ehvi", "random", "tpe"])
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_intermixed_args()
    volumes: dict[str, list[float]] = {sampler: [] for sampler in options.samplers}
    print(
        f"{'sampler':<10}{'seed':>5}{'hypervolume':>13}{'front':>7}{'best':>9}{'trained':>9}{'finished':>10}{'epochs':>8}"
    )
    with tempfile.TemporaryDirectory() as runs:
        for seed in range(options.seeds):
            for sampler in options.samplers:
                found = search(sampler, seed, options.seconds, Path(runs), options.overrides)
                volumes[sampler].append(found["hypervolume"])
                best = max((member["val_accuracy"] for member in found["front"]), default=0.0)
                print(
                    f"{sampler:<10}{seed:>5}{found['hypervolume']:>13.4f}{len(found['front']):>7}{best:>9.2%}"
                    f"{found['architectures_trained']:>9}{found['counts']['finished']:>10}{found['epochs_trained']:>8}",
                    flush=True,
                )
    for sampler, values in volumes.items():
        print(f"{sampler}: median hypervolume {statistics.median(values):.4f} ({min(values):.4f} to {max(values):.4f})")


if __name__ == "__main__":
    main()
