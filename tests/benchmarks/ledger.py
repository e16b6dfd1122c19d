"""What the ledger takes: to register a trial, to write an epoch, to end a trial, and to be read again.

    .venv/bin/python tests/benchmarks/ledger.py [--trials 1000] [--epochs 9]

In SQLite on a disk, every write synchronised; of each median milliseconds, and those of CPU.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.records.trial import TrialRecord
from tests.support.searches import DIGITS, epoch_result, search_header, shipped_space


def main() -> None:
    """Runs a command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=9)
    given = parser.parse_args()
    taken: dict[str, list[tuple[float, float]]] = {}

    def timed(what: str, write: Callable[[], object]) -> None:
        wall, processor = time.perf_counter(), time.process_time()
        write()
        taken.setdefault(what, []).append((time.perf_counter() - wall, time.process_time() - processor))

    space, rng = shipped_space(), random.Random(0)
    with tempfile.TemporaryDirectory() as scratch:
        url = ledger_url(Path(scratch) / "ledger.db")
        ledger = Ledger.create(url, "search", search_header())
        for number in range(given.trials):
            architecture = space.sample(rng)
            cost = DIGITS.cost(architecture)
            record = TrialRecord(number, architecture, cost.flops, cost.params, seed=number, outcome="running")
            timed("register a trial", lambda record=record: ledger.register(record, space))  # type: ignore[misc]
            for epoch in range(1, given.epochs + 1):
                result = epoch_result(epoch, 0.5)
                timed("write an epoch", lambda number=number, result=result: ledger.record_epoch(number, result))  # type: ignore[misc]
            timed("end a trial", lambda number=number: ledger.end(number, "finished"))  # type: ignore[misc]
        timed(f"read {given.trials} trials", lambda: Ledger.open(url, "search"))
    for what, both in taken.items():
        wall, processor = (1000 * statistics.median(each) for each in zip(*both, strict=True))
        print(f"{what:20} {wall:9.2f} ms, of CPU {processor:9.2f} ms")


if __name__ == "__main__":
    main()
