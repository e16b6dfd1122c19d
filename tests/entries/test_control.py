"""`nas/control.py`: a running search is asked for other limits, or to end, through files in its directory."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from nas.control import main
from nas.driver.command_line import read_command
from nas.driver.commands import resume_command
from nas.driver.limits_in_force import LimitsInForce
from nas.driver.lock import driver_lock
from nas.driver.progress import ProgressView
from nas.driver.requests import Requests, void_requests
from nas.driver.search_view import SearchView
from nas.driver.stop_rule import StopRule
from nas.driver.time_left import search_plan
from nas.engine.start import start_engine
from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.ledger.location import read_ledger
from nas.records.rest_of_search import SearchPlan
from nas.settings.cluster_settings import ClusterSettings
from nas.settings.run_directory import RunDirectory, run_directory
from nas.settings.search_settings import SearchSettings
from tests.project.rooms import PROJECT
from tests.support.searches import DIGITS, epoch_result, search_header, search_settings, tiny_space
from trainers.files import write_json_atomically

Started = tuple[RunDirectory, Ledger]


@pytest.fixture
def started(tmp_path: Path) -> Started:
    """A search of three trials that this process drives."""
    return _search(tmp_path, trials=3)


def _search(directory: Path, **settings: object) -> Started:
    run = run_directory(str(directory / "runs"), "one")
    run.path.mkdir(parents=True)
    return run, _begun(run, **settings)


def _begun(run: RunDirectory, **settings: object) -> Ledger:
    header = search_header(search=search_settings(**settings), space=tiny_space())
    ledger = Ledger.create(ledger_url(run.ledger), "one", header)
    ledger.record_driver(socket.gethostname(), os.getpid())
    return ledger


class Driver:
    """The driver of a search, its trials left out: it looks for requests in a thread, as Ray Tune's loop has it do."""

    def __init__(self, started: Started) -> None:
        directory, ledger = started
        settings = ledger.header.search
        self.engine = start_engine(ledger, tiny_space(), DIGITS, settings, 2)
        self.should_stop = StopRule(lambda: False, None)
        self.ended = False

        def plan(wanted: SearchSettings) -> SearchPlan:
            return search_plan(wanted, 2, tiny_space(), DIGITS, 1)

        facts = ledger.header.facts("one", None)
        state = SearchView(self.engine, facts, directory).state
        self.progress = ProgressView(Console(), state, plan(settings))
        resume = partial(resume_command, directory, ClusterSettings(None, 0, 1))
        self.limits = LimitsInForce(settings, self.engine, self.should_stop, self.progress, plan, self._end, resume)
        self.requests = Requests(directory, self.limits.obey, self.limits.refuse)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._turn)

    def _end(self) -> bool:
        before, self.ended = self.ended, True
        return not before

    def _turn(self) -> None:
        while not self._closing.wait(0.05):
            self.requests.look()

    def __enter__(self) -> "Driver":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.set()
        self._thread.join()
        self.requests.close()


def control(started: Started, *flags: str) -> int:
    return main(["one", *flags, "--runs-dir", str(started[0].runs)])


def train_all(driver: Driver) -> int:
    """Trains whatever the engine assigns. How many trials were begun."""
    begun = 0
    while (assignment := driver.engine.next_assignment()) is not None:
        begun += 1
        for epoch in (1, 2):
            if not driver.engine.report_epoch(assignment.number, epoch_result(epoch, 0.5)):
                break
    return begun


def test_limits_change_while_a_search_runs_and_stay(started: Started, capsys: pytest.CaptureFixture[str]) -> None:
    directory, ledger = started
    with Driver(started) as driver:
        assert train_all(driver) == 3
        assert control(started, "--trials", "5", "--epochs", "300", "--time-budget", "12h") == 0
        assert capsys.readouterr().out == ("search one: trials 3 -> 5, epochs none -> 300, time_budget none -> 12h\n")
        assert train_all(driver) == 2 and not driver.should_stop()
        assert control(started, "--time-budget", "0.01s") == 0
        assert driver.should_stop()
        assert not driver.ended and driver.requests.obeyed == 2
    assert not directory.requests.exists()
    # Whoever goes on with it goes on within them.
    ledger.record_end_of_driver()
    assert read_ledger(directory, None).header.search.trials == 5
    command = read_command(["--resume", "one", "--runs-dir", str(directory.runs)])
    assert (command.search.trials, command.search.epochs, command.search.time_budget) == (5, 300, "0.01s")
    assert read_command(["--resume", "one", "--runs-dir", str(directory.runs), "--trials", "9"]).search.trials == 9


def test_limits_that_are_reached_already_are_said_to_be(started: Started, capsys: pytest.CaptureFixture[str]) -> None:
    with Driver(started) as driver:
        assert train_all(driver) == 3
        assert control(started, "--trials", "2", "--epochs", "6") == 0
        said = capsys.readouterr().out
        assert "trials 3 -> 2, epochs none -> 6; 3 architectures begun already: none is any more; 6 epochs" in said
        assert train_all(driver) == 0
        assert control(started, "--trials", "4", "--epochs", "8") == 0
        assert capsys.readouterr().out == "search one: trials 2 -> 4, epochs 6 -> 8\n" and train_all(driver) == 1
        assert control(started, "--time-budget", "0.01s") == 0
        assert capsys.readouterr().out.endswith("; that time is over already: it is ending\n")
        assert control(started, "--time-budget", "none", "--epochs", "none") == 0
        assert capsys.readouterr().out == "search one: epochs 8 -> none, time_budget 0.01s -> none\n"


def test_many_ask_at_once_and_each_is_answered(
    started: Started, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is answered takes the directory of the requests away where it is empty, as another may just find it."""
    directory, _ = started
    write, takes_away = write_json_atomically, threading.Event()

    def interrupted(path: Path, value: object) -> None:
        if not takes_away.is_set():
            takes_away.set()
            path.parent.rmdir()
        write(path, value)

    monkeypatch.setattr("nas.driver.requests.LOOK_SECONDS", 0.05)
    monkeypatch.setattr("nas.driver.requests.write_json_atomically", interrupted)
    with Driver(started), ThreadPoolExecutor(4) as others:
        assert list(others.map(lambda trials: control(started, "--trials", str(trials)), range(4, 12))) == [0] * 8
    assert takes_away.is_set() and not directory.requests.exists()
    assert capsys.readouterr().out.count("search one: trials ") == 8


def test_who_interrupts_the_command_has_asked_for_nothing(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, _ = started

    def interrupt(seconds: float) -> None:
        assert len(list(directory.requests.glob("*.request"))) == 1
        raise KeyboardInterrupt

    monkeypatch.setattr("nas.driver.requests.time.sleep", interrupt)
    assert control(started, "--stop") == 130
    assert not directory.requests.exists()


def test_a_search_is_ended_from_elsewhere(started: Started, capsys: pytest.CaptureFixture[str]) -> None:
    with Driver(started) as driver:
        assert control(started, "--stop") == 0
        assert driver.ended and capsys.readouterr().out.startswith("search one: it is ending: what is training")
        # The main thread, which looked until now, waits for the trials to end.
        driver.requests.refuse()
        assert control(started, "--stop") == 0
        assert "search one: it was asked to already; it is ending" in capsys.readouterr().out
        assert control(started, "--time-budget", "none") == 2
        error = capsys.readouterr().err
        assert "it is ending already; once it has," in error and "--resume one --time-budget none" in error


def test_a_search_that_does_not_run_is_not_asked(started: Started, capsys: pytest.CaptureFixture[str]) -> None:
    directory, ledger = started
    ledger.record_end_of_driver()
    assert control(started, "--trials", "5") == 2
    error = capsys.readouterr().err
    assert "does not run" in error and "nas/search.py --resume one --trials 5" in error and error.count("\n") == 1
    assert control(started, "--stop") == 2
    assert "nothing to be ended" in capsys.readouterr().err
    assert control(started, "--time-budget", "none") == 2
    assert "nas/search.py --resume one --time-budget none" in capsys.readouterr().err
    ended = subprocess.Popen(["true"])
    ended.wait()
    ledger.record_driver(socket.gethostname(), ended.pid)
    assert control(started, "--trials", "5") == 2
    assert not directory.requests.exists() and ledger.header.search.trials == 3


def test_a_request_that_nobody_takes_is_withdrawn(
    started: Started, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the driver's machine is gone, of which another cannot tell."""
    directory, ledger = started
    ledger.record_driver("another-machine", 1)
    monkeypatch.setattr("nas.driver.requests.WAIT_SECONDS", 0.3)
    assert control(started, "--trials", "5") == 2
    error = capsys.readouterr().err
    assert "has answered" in error and "--resume one --trials 5" in error
    assert not directory.requests.exists()
    # What was left by somebody who was killed is void for the next driver.
    directory.requests.mkdir()
    left = directory.requests / "0.request"
    left.write_text(json.dumps({"limits": {"trials": 9}, "stop": False}), encoding="utf-8")
    void_requests(directory)
    assert not left.exists()
    with Driver(started):
        time.sleep(0.3)
    assert ledger.header.search.trials == 3


def test_what_is_asked_while_a_driver_starts_is_obeyed(
    started: Started, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, ledger = started
    monkeypatch.setattr("nas.control.SAID_AFTER_SECONDS", 0.1)
    void_requests(directory)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(control, started, "--trials", "5")
        deadline = time.monotonic() + 30
        while not list(directory.requests.glob("*.request")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.2)
        with Driver(started):
            assert asked.result(timeout=30) == 0
    assert ledger.header.search.trials == 5
    assert "waiting for the driver of search one …" in capsys.readouterr().err


def test_a_search_that_is_on_its_way_to_its_ledger_is_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new search has its directory seconds before its ledger, as it starts Ray in between."""
    directory = run_directory(str(tmp_path / "runs"), "one")
    stop = ["one", "--stop", "--runs-dir", str(directory.runs)]
    with ThreadPoolExecutor(1) as pool:
        with driver_lock(directory):
            asked = pool.submit(main, stop)
            time.sleep(0.5)
            assert not asked.done()
            with Driver((directory, _begun(directory, trials=3))) as driver:
                assert asked.result(timeout=30) == 0 and driver.ended
        assert capsys.readouterr().out.startswith("search one: it is ending")
        # It goes away where that was ended, and is not waited for where its process is gone.
        other = run_directory(str(tmp_path / "runs"), "other")
        with driver_lock(other):
            asked = pool.submit(main, ["other", *stop[1:]])
            time.sleep(0.3)
            assert not asked.done()
        assert asked.result(timeout=30) == 2 and "unknown search 'other'" in capsys.readouterr().err
    ended = subprocess.Popen(["true"])
    ended.wait()
    other.path.mkdir()
    holder = {"host": socket.gethostname(), "pid": ended.pid, "since": time.strftime("%Y-%m-%d %H:%M:%S %z")}
    other.lock.write_text(json.dumps(holder), encoding="utf-8")
    assert main(["other", *stop[1:]]) == 2 and "or was ended while it did" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"limits": {"trials": 0}, "stop": false}', "expected at least 1"),
        ('{"limits": {"trails": 5}, "stop": false}', "Did you mean 'trials'?"),
        ('{"limits": {"seed": 5}, "stop": false}', "unknown limit 'seed'"),
        ('{"limits": {"trials": "many"}, "stop": false}', "expected a whole number"),
        ('{"limits": {}}', "request"),
        ("[", "no JSON"),
    ],
)
def test_whatever_a_request_holds_the_search_goes_on(started: Started, content: str, expected: str) -> None:
    directory, ledger = started
    with Driver(started) as driver:
        directory.requests.mkdir()
        (directory.requests / "0.request").write_text(content, encoding="utf-8")
        answer = directory.requests / "0.answer"
        _until(answer.exists)
        assert expected in json.loads(answer.read_bytes())["error"]
        assert train_all(driver) == 3 and ledger.header.search.trials == 3


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_deterministic_search_keeps_its_limits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    started = _search(tmp_path, trials=3, deterministic=True)
    with Driver(started):
        assert control(started, "--trials", "5") == 2
    assert "is deterministic" in capsys.readouterr().err and started[1].header.search.trials == 3


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "expected either --stop, or limits"),
        (["--stop", "--trials", "3"], "expected either --stop, or limits"),
        (["--trials", "0"], "--trials: is 0: expected at least 1"),
        (["--time-budget", "soon"], "expected a duration such as"),
        (["--trails", "3"], "Did you mean '--trials'?"),
    ],
)
def test_a_mistake_is_one_line(
    started: Started, flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert control(started, *flags) == 2
    output, error = capsys.readouterr()
    assert output == "" and message in error and error.count("\n") == 1
    assert not started[0].requests.exists()


SMALL = ["data=digits", "space.depth=[14]", "space.width=[0.125]", "space.stages.spatial_extent=[3]"]


@pytest.mark.slow
def test_a_real_search_trains_more_and_ends_in_order(tmp_path: Path) -> None:
    runs = ["--runs-dir", str(tmp_path / "runs")]
    directory = run_directory(str(tmp_path / "runs"), "one")
    small = ["training.epochs=2", *SMALL]
    with searching(tmp_path, "--space", "resnet_stages", "--name", "one", "--trials", "2", *small, *runs) as process:
        _until(lambda: directory.has_ledger)
        while main(["one", "--trials", "3", *runs]) != 0:
            assert process.poll() is None
        output, error = process.communicate(timeout=240)
    assert process.returncode == 0, error
    assert json.loads(directory.summary.read_text(encoding="utf-8"))["architectures_trained"] == 3
    # What it goes on to is more than it comes to.
    with searching(tmp_path, "--resume", "one", "--trials", "200", *runs) as process:
        while main(["one", "--stop", *runs]) != 0:
            assert process.poll() is None
        output, error = process.communicate(timeout=240)
    assert process.returncode == 143, error
    assert "--resume one" in output


@contextlib.contextmanager
def searching(directory: Path, *words: str) -> Iterator["subprocess.Popen[str]"]:
    """A search as a process, which is gone when the context is left."""
    process = subprocess.Popen(
        [sys.executable, str(PROJECT / "nas/search.py"), *words],
        cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
