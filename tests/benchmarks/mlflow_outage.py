"""What it costs a search that MLflow is down: its throughput, how long a result waits to be handed over, and its end.

    .venv/bin/python -m tests.benchmarks.mlflow_outage [--trials 6] [--rounds 3] [--seconds 20]

The same searches (same seed, no early stopping) run in turns with a server over HTTP that answers, with one whose
connections are refused, and with one that takes requests and never answers. The server that answers runs beside all of
them. Handing over is `Engine.report_epoch` on a SQLite ledger, for `--seconds`, with the writer's thread at work.
"""

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nas.engine.start import start_engine
from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.records.summary import summarise
from nas.tracking.environment import quiet_mlflow
from nas.tracking.tracker import Tracker
from nas.tracking.writer_thread import TrackerThread
from tests.support.mlflow_server import free_port, mlflow_server
from tests.support.searches import DIGITS, epoch_result, search_header, search_settings, shipped_space

PROJECT = Path(__file__).resolve().parents[2]
REFERENCE = (0.1, 2e7)
EPOCHS = 4
SMALL = ["data=digits", "space.depth=[14]", "space.width=[0.125]", f"training.epochs={EPOCHS}"]


@contextmanager
def stores(directory: Path) -> Iterator[dict[str, str]]:
    """The address of a server of each kind."""
    store = f"sqlite:///{directory / 'mlflow.db'}"
    with (
        mlflow_server(store, directory / "artifacts") as address,
        socket.create_server(("127.0.0.1", 0), backlog=100) as silent,
    ):
        yield {
            "up": address,
            "refused": f"http://127.0.0.1:{free_port()}",
            "silent": f"http://127.0.0.1:{silent.getsockname()[1]}",
        }


def search(kind: str, uri: str, index: int, trials: int, runs: Path) -> dict[str, Any]:
    """What summary.json says of one search."""
    name = f"{kind}-{index}"
    command = [
        *(sys.executable, str(PROJECT / "nas" / "search.py"), "--space", "resnet_stages", "--name", name),
        *("--runs-dir", str(runs), "--trials", str(trials), *SMALL),
        *("search.sampler=random", "search.scheduler=none", f"tracking.uri={uri}"),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return dict(json.loads((runs / name / "summary.json").read_text(encoding="utf-8")))


def compare_searches(uris: dict[str, str], rounds: int, trials: int, directory: Path) -> None:
    speeds: dict[str, list[float]] = {kind: [] for kind in uris}
    print(f"{'MLflow':<10}{'round':>6}{'epochs':>8}{'seconds':>9}{'epochs/s':>10}{'start and end':>15}")
    for index in range(rounds):
        for kind, uri in uris.items():
            started = time.monotonic()
            found = search(kind, uri, index, trials, directory / "runs")
            seconds = found["search_seconds"]
            speeds[kind].append(found["epochs_trained"] / seconds)
            print(
                f"{kind:<10}{index:>6}{found['epochs_trained']:>8}{seconds:>9.1f}{speeds[kind][-1]:>10.3f}"
                f"{time.monotonic() - started - seconds:>13.1f} s",
                flush=True,
            )
    for kind in ("refused", "silent"):
        ratios = [down / up for down, up in zip(speeds[kind], speeds["up"], strict=True)]
        print(f"throughput with MLflow {kind}: {statistics.median(ratios):.1%} of that with it up (median of rounds)")


def handing_over(uri: str, seconds: float, directory: Path) -> list[float]:
    """Seconds that each call took which hands the result of an epoch to the search."""
    directory.mkdir()
    settings = search_settings(trials=1_000_000, scheduler="none")
    ledger = Ledger.create(ledger_url(directory / "ledger.db"), "search", search_header(search=settings))
    engine = start_engine(ledger, shipped_space(), DIGITS, settings, EPOCHS)
    thread = TrackerThread(
        lambda: Tracker(uri, None, "waits", "search", ledger.search_id),
        lambda: (engine.records, summarise(engine.records, REFERENCE)),
        list,
        uri,
    )
    taken = []
    with thread:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assignment = engine.next_assignment()
            assert assignment is not None
            for epoch in range(1, EPOCHS + 1):
                started = time.perf_counter()
                engine.report_epoch(assignment.number, epoch_result(epoch))
                taken.append(time.perf_counter() - started)
                time.sleep(0.1)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=6, help="of each search")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20, help="of handing results over, for each kind")
    options = parser.parse_args()
    quiet_mlflow()
    with tempfile.TemporaryDirectory() as scratch, stores(Path(scratch)) as uris:
        for kind, uri in uris.items():
            taken = handing_over(uri, options.seconds, Path(scratch) / kind)
            print(
                f"MLflow {kind}: handing over a result takes {1000 * statistics.median(taken):.1f} ms (median), "
                f"{1000 * max(taken):.1f} ms at most, of {len(taken)}",
                flush=True,
            )
        compare_searches(uris, options.rounds, options.trials, Path(scratch))


if __name__ == "__main__":
    main()
