"""A search on machines that misbehave: a head with the driver, and machines that train, to be hurt and to be healed."""

import json
import os
import re
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from nas.ledger.location import read_ledger
from nas.records.trial import TrialRecord
from nas.settings.run_directory import run_directory
from nas.settings.store_settings import LEDGER_VARIABLE
from search_spaces.exit_codes import MISTAKE
from tests.cluster.chaos_account import CheckpointWatch, Event
from tests.entries.test_search import PROJECT
from tests.faults.searches import counted_seconds
from tests.support.network_nodes import NetworkNode
from tests.support.present import present

NAME, PORT = "chaos", 6379
FULL_EPOCHS = 27
SEARCH = (
    "--space", "resnet_stages", "--name", NAME, "space.depth=[14]",
    "space.stages.spatial_extent=[3]", f"training.epochs={FULL_EPOCHS}", "training.batch_size=8", "data=image_folder",
    "data.image_size=16", "data.loader_workers=0",
)  # fmt: skip
ENDLESS = (*SEARCH, "--trials", "10000")
KINDS = ("killed", "partitioned", "frozen", "loses data", "loses storage", "another torch", "joins late", "head killed")
PARTITIONED_SECONDS, FROZEN_SECONDS = 90.0, 60.0
# What a machine has lost is there again once it is left out, or after so long.
LOST_SECONDS = 60.0
FEWEST_NODES, MOST_NODES = 2, 4
LONGEST_WAIT_SECONDS = 400.0

_RAY = str(Path(sys.executable).parent / "ray")
_WAIT_FOR_CPUS = """
import sys
import time
import ray
time.sleep(3)
ray.init("auto", logging_level="ERROR")
while ray.cluster_resources().get("CPU", 0) < int(sys.argv[1]):
    time.sleep(1)
"""


@dataclass
class _Remedy:
    node: str
    latest: float
    is_time: Callable[[], bool]
    heal: Callable[[], None]


class ChaoticSearch:
    """A search on a head without CPUs and on machines with some, which share its directory and the images.

    It begins with `flags` once all of `cpus`, of one machine each, have joined. Where it `ends_itself`, what it is to
    come to is in the flags; else it ends when it is asked to.
    """

    def __init__(
        self, directory: Path, images: Path, ledger: str, *, flags: Sequence[str] = ENDLESS,
        cpus: Sequence[int] = (1, 1, 1), ends_itself: bool = False,
    ) -> None:  # fmt: skip
        self.directory, self.images, self.runs = directory, images, directory / "runs"
        self.runs.mkdir()
        self.events: list[Event] = []
        self.said: list[tuple[float, str]] = []
        self.snapshots: list[dict[int, TrialRecord]] = []
        self.nodes: dict[str, NetworkNode] = {}
        self._ledger = ledger
        self._environment = {
            "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), LEDGER_VARIABLE: ledger,
            "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        self._made = 1
        self._remedies: list[_Remedy] = []
        self._where_the_head_is = directory / "head"
        self._readers: list[threading.Thread] = []
        self._next_look = 0.0
        self._starts_left = 5
        # While there is to be no driver, or one that comes to its end.
        self._may_end = True
        self._other_torch = self._described_torch()
        self.watch = CheckpointWatch(self.runs / NAME / "checkpoints")
        self.head = self._start_head()
        for count in cpus:
            self._add_node(cpus=count)
        self._wait_for_cpus(sum(cpus))
        self._begin = (*flags, f"data.root={images}")
        self._ends_itself = ends_itself
        self._start_driver()
        self._may_end = False

    # Machines

    def _machine(self) -> NetworkNode:
        self._made += 1
        return NetworkNode(self._made, self.directory)

    def _start_head(self) -> NetworkNode:
        head = self._machine()
        start = (
            _RAY, "start", "--head", f"--port={PORT}", f"--node-ip-address={head.address}", "--num-cpus=0",
            "--include-dashboard=false", "--disable-usage-stats", "--object-store-memory=80000000", "--block",
        )  # fmt: skip
        head.start(*start, environment=self._environment)
        self._where_the_head_is.write_text(f"{head.address}:{PORT}", encoding="ascii")
        return head

    def _add_node(self, *, cpus: int = 1, other_torch: bool = False) -> NetworkNode:
        node = self._machine()
        if other_torch:
            node.replace(*self._other_torch)
        # As the page has it.
        join = (
            f"{_RAY} start --address=$(cat {self._where_the_head_is}) --node-ip-address={node.address} "
            f"--num-cpus={cpus} --disable-usage-stats --object-store-memory=80000000 --block"
        )
        node.start("bash", "-c", f"while true; do {join}; sleep 3; done", environment=self._environment)
        self.nodes[node.name] = node
        return node

    def _wait_for_cpus(self, count: int) -> None:
        waiting = subprocess.Popen(
            self.head.inside(sys.executable, "-c", _WAIT_FOR_CPUS, str(count)), env={**os.environ, **self._environment},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.wait_until(lambda: waiting.poll() is not None)
        if waiting.returncode:
            time.sleep(2)
            self._wait_for_cpus(count)

    def _described_torch(self) -> tuple[Path, Path]:
        """The file that says which torch is installed, and one that says another."""
        installed = Path(str(metadata.distribution("torch").locate_file(""))).resolve()
        (described,) = installed.glob("torch-*.dist-info/METADATA")
        other = self.directory / "METADATA"
        text = described.read_text(encoding="utf-8")
        other.write_text(re.sub(r"(?m)^Version: .*$", "Version: 2.1.0", text, count=1), encoding="utf-8")
        return described, other

    # The driver

    def _start_driver(self) -> None:
        begun = run_directory(str(self.runs), NAME).has_ledger
        command = [
            sys.executable, str(PROJECT / "nas/search.py"), *(("--resume", NAME) if begun else self._begin),
            "--runs-dir", str(self.runs), "--address", f"{self.head.address}:{PORT}", "--bad-nodes", "leave-out",
        ]  # fmt: skip
        self.driver = subprocess.Popen(
            self.head.inside(*command, directory=self.directory), env={**os.environ, **self._environment},
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        reader = threading.Thread(target=self._read, args=(self.driver,), daemon=True)
        reader.start()
        self._readers.append(reader)

    def _read(self, driver: subprocess.Popen[str]) -> None:
        with present(driver.stderr) as lines:
            for line in lines:
                self.said.append((time.time(), line.rstrip()))

    @property
    def has_ended(self) -> bool:
        """Whether it has come by itself to what it was to come to."""
        return self._ends_itself and self.driver.poll() == 0

    @property
    def lines(self) -> list[str]:
        """What its drivers have said."""
        return [line for _, line in self.said]

    def has_said(self, text: str, since: float) -> bool:
        return any(at >= since and text in line for at, line in self.said)

    # What goes on

    def records(self) -> dict[int, TrialRecord]:
        """The trials as the ledger has them."""
        directory = run_directory(str(self.runs), NAME)
        if not directory.has_ledger:
            return {}
        return {record.number: record for record in read_ledger(directory, self._ledger).records}

    def look(self) -> dict[int, TrialRecord]:
        """Takes down what the ledger has, and what became of the events."""
        began = time.time()
        records = self.records()
        self.snapshots.append(records)
        for event in self.events:
            if event.noticed is None:
                about = [f"node {event.node} ", *(f"trial {number}" for number in event.hit)]
                spoken = [at for at, line in self.said if at >= event.at and any(text in line for text in about)]
                event.noticed = min(spoken, default=None)
            further = (
                records[number].outcome != "running" or len(records[number].epochs) > epochs
                for number, epochs in event.hit.items()
            )
            if event.recovered is None and event.hit and all(further):
                event.recovered = time.time()
        self._next_look = time.time() + max(2.0, 4 * (time.time() - began))
        return records

    def turn(self) -> None:
        """What is to be done at every moment: machines are healed, and the ledger is looked at."""
        now = time.time()
        for remedy in list(self._remedies):
            if now >= remedy.latest or remedy.is_time():
                self._remedies.remove(remedy)
                remedy.heal()
        if now >= self._next_look:
            self.look()
        if not self._may_end and not self.has_ended and self.driver.poll() is not None:
            # Started again by whatever starts jobs, where no machine was fit to train at that moment.
            assert self.driver.returncode == MISTAKE and self._starts_left, self.said[-5:]
            self._starts_left -= 1
            self._start_driver()
        time.sleep(0.25)

    def wait_until(self, condition: Callable[[], object], seconds: float = LONGEST_WAIT_SECONDS) -> None:
        """Goes on turn by turn until a condition holds, within so many seconds, on a machine with much to do more."""
        while not condition():
            began = time.monotonic()
            self.turn()
            seconds -= counted_seconds(time.monotonic() - began)
            assert seconds > 0, self._standing()

    def _standing(self) -> str:
        """What was said last, and where each trial is that has not ended, of a search that does not go on."""
        unfinished = [record for record in self.records().values() if record.outcome in ("running", "held")]
        where = (f"trial {r.number}, {r.outcome}, {len(r.epochs)} epochs: {r.place} {r.mishap}" for r in unfinished)
        return "\n".join([*(line for _, line in self.said[-20:]), f"driver: {self.driver.poll()}", *where])

    @property
    def is_hurt(self) -> bool:
        return bool(self._remedies)

    def end(self) -> None:
        """Has a search without an end begin nothing more, and waits for the end."""
        self.wait_until(lambda: not self.is_hurt)
        if not self._ends_itself:
            self._ask_for_the_end()
        self.wait_until(lambda: self.driver.poll() is not None, seconds=900)
        for reader in self._readers:
            reader.join(10)

    def _ask_for_the_end(self) -> None:
        begun = sum(record.outcome not in ("rejected", "duplicate") for record in self.records().values())
        control = [sys.executable, str(PROJECT / "nas/control.py"), NAME, "--runs-dir", str(self.runs)]
        asked = subprocess.run(
            [*control, "--trials", str(begun)],
            env={**os.environ, **self._environment}, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert asked.returncode == 0, asked.stderr
        self._may_end = True

    def close(self) -> None:
        self.watch.close()
        for node in [self.head, *self.nodes.values()]:
            node.switch_off()
        self.driver.wait(120)

    # What befalls the machines

    def trains(self, node: str) -> bool:
        """Whether a trial is trained on a machine, as the ledger last had it."""
        last = self.snapshots[-1].values() if self.snapshots else ()
        return any(
            record.outcome == "running" and record.place is not None and record.place.node.startswith(f"{node} ")
            for record in last
        )

    def well(self) -> list[str]:
        """The machines that train, or could."""
        hurt = {remedy.node for remedy in self._remedies}
        return sorted(name for name in self.nodes if name not in hurt)

    def feasible(self, kind: str) -> bool:
        """Whether enough machines would be left by it that are well."""
        if kind == "joins late":
            return len(self.nodes) < MOST_NODES
        if kind == "head killed":
            return not self.is_hurt
        if kind == "killed" and len(self.nodes) <= FEWEST_NODES:
            return False
        return len(self.well()) > 1

    def strike(self, kind: str, choose: Callable[[list[str]], str]) -> None:
        """Has one of the kinds of events befall a machine of those that are well."""
        if kind == "joins late":
            self._happens(kind, self._add_node().name, hit=False)
            return
        if kind == "head killed":
            self._kill_head()
            return
        node = self.nodes[choose(self.well())]
        event = self._happens(kind, node.name)
        if kind == "killed":
            node.switch_off()
            del self.nodes[node.name]
        elif kind == "partitioned":
            node.disconnect()
            self._heal_after(PARTITIONED_SECONDS, node, node.connect)
        elif kind == "frozen":
            node.freeze()
            self._heal_after(FROZEN_SECONDS, node, node.thaw)
        elif kind == "another torch":
            node.switch_off()
            del self.nodes[node.name]
            new = self._add_node(other_torch=True)
            described, _ = self._other_torch
            self._heal_when_left_out(new, event.at, lambda: new.show(described))
        else:
            lost = self.images if kind == "loses data" else self.runs
            node.hide(lost)
            self._heal_when_left_out(node, event.at, lambda: node.show(lost))

    def _happens(self, kind: str, node: str, *, hit: bool = True) -> Event:
        records = self.look() if hit else {}
        running = {number: record for number, record in records.items() if record.outcome == "running"}
        there = {
            number: len(record.epochs)
            for number, record in running.items()
            if node == self.head.name or (record.place is not None and record.place.node.startswith(f"{node} "))
        }
        event = Event(kind, node, time.time(), there, slots=len(self.nodes) if node == self.head.name else 1)
        self.events.append(event)
        return event

    def _heal_after(self, seconds: float, node: NetworkNode, heal: Callable[[], None]) -> None:
        self._remedies.append(_Remedy(node.name, time.time() + seconds, lambda: False, heal))

    def _heal_when_left_out(self, node: NetworkNode, since: float, heal: Callable[[], None]) -> None:
        said = re.compile(rf"node {node.name} \w+ is left out")

        def is_left_out() -> bool:
            return any(at >= since and said.search(line) for at, line in self.said)

        self._remedies.append(_Remedy(node.name, time.time() + LOST_SECONDS, is_left_out, heal))

    def _kill_head(self) -> None:
        """The head dies, with the driver; another machine takes its place, and the search goes on from there."""
        event = self._happens("head killed", self.head.name)
        self.head.kill()
        self.driver.wait(120)
        event.noticed = time.time()
        self._may_end = True
        self.head = self._start_head()
        self._wait_for_cpus(1)
        self._start_driver()
        self._may_end = False
        self.wait_until(lambda: event.recovered is not None or not event.hit)

    def summary(self) -> dict[str, object]:
        return json.loads((self.runs / NAME / "summary.json").read_text(encoding="utf-8"))
