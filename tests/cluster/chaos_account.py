"""What became of a search on machines that misbehave: each event noticed and recovered, each epoch accounted for."""

import contextlib
import re
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.records.trial import TrialRecord

# As a worker says it whose trial's checkpoints lack epochs that the ledger has.
_TRAINED_AGAIN = re.compile(r"its checkpoints end with epoch (\d+) of the (\d+) that are recorded")


@dataclass
class Event:
    """What befell a machine, and when, in seconds of `time.time()`.

    `hit` are the epochs that the ledger had of each trial that was trained there. Once known, `noticed` and `recovered`
    say when the search spoke of it, and when each of those trials had been trained further.
    """

    kind: str
    node: str
    at: float
    hit: dict[int, int]
    slots: int = 1
    noticed: float | None = None
    recovered: float | None = None


class CheckpointWatch:
    """Counts how often the checkpoint at the end of each epoch of each trial is written: twice is trained twice."""

    def __init__(self, directory: Path) -> None:
        self.written = Counter[tuple[int, int]]()
        self._directory = directory
        self._seen: dict[Path, tuple[int, int]] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._closing.wait(0.25):
            for path in self._checkpoints():
                with contextlib.suppress(FileNotFoundError):
                    state = path.stat()
                    if self._seen.get(path) != (found := (state.st_ino, state.st_mtime_ns)):
                        self._seen[path] = found
                        self.written[int(path.parent.name), int(path.stem.removeprefix("epoch-"))] += 1

    def _checkpoints(self) -> list[Path]:
        """Those there are; none where a directory of them is removed meanwhile."""
        with contextlib.suppress(FileNotFoundError):
            return list(self._directory.glob("*/epoch-??????.checkpoint"))
        return []


def found_wrong(
    records: dict[int, TrialRecord], snapshots: list[dict[int, TrialRecord]], written: Counter[tuple[int, int]],
    said: Sequence[str], *, may_repeat: int, full_epochs: int,
) -> list[str]:  # fmt: skip
    """What is not accounted for of a search that has ended: nothing where all is well.

    `snapshots` are what the ledger held in the course of it, `written` how often the checkpoint of each epoch of each
    trial was, `said` the lines of its driver, and `may_repeat` how many epochs the events may have cost. None of those
    may be recorded ones: an epoch has its checkpoint before it is recorded.
    """
    wrong = [line for line in said if _TRAINED_AGAIN.search(line)]
    for number, record in records.items():
        if record.outcome not in ("finished", "stopped", "rejected", "duplicate"):
            wrong.append(f"trial {number} is {record.outcome}: {record.reason}")
        if [epoch.epoch for epoch in record.epochs] != list(range(1, len(record.epochs) + 1)):
            wrong.append(f"trial {number} has the epochs {[epoch.epoch for epoch in record.epochs]}")
        if record.outcome == "finished" and len(record.epochs) != full_epochs:
            wrong.append(f"trial {number} is finished after {len(record.epochs)} epochs")
    for snapshot in snapshots:
        for number, before in snapshot.items():
            # With their seconds: an epoch that was trained again would have others.
            if number not in records or records[number].epochs[: len(before.epochs)] != before.epochs:
                wrong.append(f"trial {number} had {len(before.epochs)} epochs that are not there any more")
    repeated = {epoch: times for epoch, times in written.items() if times > 1}
    if sum(repeated.values()) - len(repeated) > may_repeat:
        wrong.append(f"trained again, of {may_repeat} that might be: {repeated}")
    return wrong


def trained_again(written: Counter[tuple[int, int]], said: Sequence[str]) -> int:
    """How many epochs were trained again: as their checkpoints show, and recorded ones, as the driver's lines do."""
    told = (int(found[2]) - int(found[1]) for line in said if (found := _TRAINED_AGAIN.search(line)))
    return sum(times - 1 for times in written.values()) + sum(told)


def table(events: Sequence[Event]) -> str:
    """When each event was noticed, and when all that it hit were trained further, in seconds."""
    began = events[0].at if events else 0.0
    lines = [f"{'after':>7} {'event':15} {'machine':8} {'noticed':>8} {'recovered':>9}  trials hit"]
    for event in events:
        noticed, recovered = (
            "-" if moment is None else f"{moment - event.at:.0f} s" for moment in (event.noticed, event.recovered)
        )
        after = f"{event.at - began:.0f} s"
        lines.append(f"{after:>7} {event.kind:15} {event.node:8} {noticed:>8} {recovered:>9}  {[*event.hit]}")
    return "\n".join(lines)
