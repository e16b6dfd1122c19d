"""What the terminal of real searches tells of the time left, beside the truth, and for how long it says nothing.

    python -m tests.benchmarks.time_left_told --seeds 0 1 2 3 4 -- data=digits --trials 30
    python -m tests.benchmarks.time_left_told --terminal none --columns 60 --seeds 5 -- data=digits --trials 12

Runs `nas/search.py` on a terminal of its own (or none), one search after the other, and takes the time of all that it
writes. The truth is the time until the command ends. An estimate is the middle of what is told ("less than a minute" is
told as 0 to 60 s); its error is |estimate − truth| / truth, from a third of the time on until 2 % before the end. Load
is the machine's, of all that runs on it: the least, the mean and the greatest of its averages over a minute.
"""

import argparse
import fcntl
import itertools
import os
import pty
import re
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
UNIT_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "days": 86400.0}
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
TOLD = re.compile(
    r"(?P<under>less than a minute)\s+left|"
    r"(?:(?P<least>[\d.]+)\s+to|about|(?P<most>at\s+most))\s+(?P<value>[\d.]+)\s+(?P<unit>s|min|h|days)\s+left"
)


@dataclass(frozen=True, slots=True)
class Told:
    """What was told at a moment, in seconds: between `least` and `most`, which are the same for "about"."""

    at: float
    least: float
    most: float

    @property
    def middle(self) -> float:
        return (self.least + self.most) / 2


@dataclass(frozen=True, slots=True)
class Watched:
    """A command that is over: what it wrote and when, by seconds since its start."""

    written: list[tuple[float, bytes]]
    seconds: float
    exit_code: int
    loads: list[float]

    @property
    def text(self) -> str:
        return ESCAPES.sub(b"", b"".join(part for _, part in self.written)).decode("utf-8", "replace")

    def longest_silence(self) -> tuple[float, float]:
        """(seconds, its beginning)."""
        moments = [0.0, *(at for at, _ in self.written), self.seconds]
        return max((later - earlier, earlier) for earlier, later in itertools.pairwise(moments))


def watch(command: Sequence[str], terminal: str, columns: int, no_color: bool) -> Watched:
    """Runs a command until it ends."""
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    environment |= {"TERM": "dumb" if terminal == "none" else terminal} | ({"NO_COLOR": "1"} if no_color else {})
    reading, writing = os.pipe() if terminal == "none" else pty.openpty()
    if terminal != "none":
        fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    started = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=writing, stderr=writing, env=environment)
    os.close(writing)
    written: list[tuple[float, bytes]] = []
    loads: list[float] = []
    try:
        while True:
            if len(loads) <= (time.monotonic() - started) / 10:
                loads.append(os.getloadavg()[0])
            if not select.select([reading], [], [], 1.0)[0]:
                continue
            try:
                part = os.read(reading, 1 << 16)
            except OSError:
                # A terminal whose last program has ended.
                break
            if not part:
                break
            written.append((time.monotonic() - started, part))
        exit_code = process.wait()
    finally:
        process.terminate()
        os.close(reading)
    return Watched(written, time.monotonic() - started, exit_code, loads)


def estimates(written: Sequence[tuple[float, bytes]]) -> list[Told]:
    """All that was told of the time left."""
    found, rest = [], ""
    for at, part in written:
        # What is told may be broken over lines, and come in two parts.
        rest += ESCAPES.sub(b" ", part).decode("utf-8", "replace").replace("\r", "")
        end = 0
        for match in TOLD.finditer(rest):
            found.append(_told(at, match))
            end = match.end()
        rest = rest[end:][-200:]
    return found


def _told(at: float, match: re.Match[str]) -> Told:
    if match["under"]:
        return Told(at, 0.0, 60.0)
    each = UNIT_SECONDS[match["unit"]]
    most = float(match["value"]) * each
    least = 0.0 if match["most"] else most if match["least"] is None else float(match["least"]) * each
    return Told(at, least, most)


def report(name: str, watched: Watched, show: bool) -> list[float]:
    """Prints how true the estimates of one search were, and returns their errors."""
    late = [told for told in estimates(watched.written) if told.at >= watched.seconds / 3]
    late = [told for told in late if told.at <= 0.98 * watched.seconds]
    errors = [abs(told.middle - (watched.seconds - told.at)) / (watched.seconds - told.at) for told in late]
    silence, since = watched.longest_silence()
    median = f"{statistics.median(errors):.0%} of {len(errors)}" if errors else "nothing told"
    loads = watched.loads
    print(
        f"{name:<14} exit {watched.exit_code} after {watched.seconds:>4.0f} s   median error {median}   "
        f"longest silence {silence:.1f} s from {since:.0f} s on   "
        f"load {min(loads):.1f} {statistics.mean(loads):.1f} {max(loads):.1f}",
        flush=True,
    )
    for told, error in zip(late, errors, strict=True) if show else ():
        truth = watched.seconds - told.at
        print(
            f"  {told.at:>5.0f} s: told {told.least:.0f} to {told.most:.0f} s, truth {truth:.0f} s, error {error:.0%}"
        )
    return errors


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--terminal", default="dumb", help="its TERM, or none (default %(default)s)")
    parser.add_argument("--columns", type=int, default=80)
    parser.add_argument("--no-color", action="store_true", help="set NO_COLOR")
    parser.add_argument("--show", action="store_true", help="print each estimate, too")
    parser.add_argument("--text", metavar="DIR", help="keep there what each search wrote")
    parser.add_argument("arguments", nargs="*", help="of nas/search.py, after --")
    options = parser.parse_args()
    medians, silences = [], []
    with tempfile.TemporaryDirectory() as runs:
        for seed in options.seeds:
            name = f"seed-{seed}"
            command = [
                *(sys.executable, str(PROJECT / "nas" / "search.py"), "--space", "resnet_stages", "--name", name),
                *("--runs-dir", runs, "--seed", str(seed), *options.arguments),
            ]
            watched = watch(command, options.terminal, options.columns, options.no_color)
            if options.text:
                (Path(options.text) / f"{name}.txt").write_text(watched.text, encoding="utf-8")
            errors = report(name, watched, options.show)
            medians += [statistics.median(errors)] if errors else []
            silences.append(watched.longest_silence()[0])
    if medians:
        print(f"median of the medians {statistics.median(medians):.0%}, longest silence {max(silences):.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
