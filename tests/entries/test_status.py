"""What a search is doing, as `nas/status.py` says from its ledger while it is open elsewhere."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.control import main as control
from nas.driver.lock import driver_lock
from nas.driver.texts import error_console, output_console
from nas.export import main as export
from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.records.left_out_nodes import LeftOutNode
from nas.records.trial import TrialRecord
from nas.records.whereabouts import GpuUse, Mishap, Place
from nas.report import main as report
from nas.search import main as go_on
from nas.settings.command import Command
from nas.settings.run_directory import RunDirectory, run_directory
from nas.status import main
from nas.train_fully import main as train_fully
from search_spaces.errors import UserError
from tests.support.present import present
from tests.support.searches import DIGITS, epoch_result, search_header, tiny_space


@pytest.fixture
def search(tmp_path: Path) -> tuple[RunDirectory, Ledger]:
    """A search with one trial in training on a GPU, one that was given back, and one that failed."""
    directory = run_directory(str(tmp_path / "runs"), "one")
    directory.errors.mkdir(parents=True)
    ledger = Ledger.create(ledger_url(directory.ledger), "one", search_header())
    ledger.record_driver(socket.gethostname(), os.getpid())
    for number in range(3):
        architecture = ledger.propose(tiny_space(), "random", search_seed=0)
        cost = DIGITS.cost(architecture)
        record = TrialRecord(number, architecture, cost.flops, cost.params, seed=number, outcome="running")
        ledger.register(record, tiny_space())
        ledger.record_place(number, "gpu-box 1a2b3c4d", "H100")
    ledger.record_epoch(0, epoch_result(1, 0.625), GpuUse(14_200_000_000, 80_000_000_000, 0.93))
    ledger.record_mishap(1, "gpu-box 1a2b3c4d", "images are gone")
    ledger.record_mishap(2, "gpu-box 1a2b3c4d", "RuntimeError: shapes differ")
    ledger.end(2, "failed", reason="RuntimeError: shapes differ")
    (directory.errors / "0002.txt").write_text("Traceback\n", encoding="utf-8")
    ledger.record_nodes_left_out([LeftOutNode("other-box 5e6f7a8b", "3 failures in a row", 1.0, None)])
    return directory, ledger


def test_a_status_names_trials_nodes_and_failures_and_changes_nothing(
    search: tuple[RunDirectory, Ledger], capsys: pytest.CaptureFixture[str]
) -> None:
    directory, ledger = search
    before = hashlib.sha256(directory.ledger.read_bytes()).digest()
    assert main(["one", "--runs-dir", str(directory.runs)]) == 0
    output = capsys.readouterr().out
    lines = output.splitlines()
    assert lines[0] == "search one: 2 running, 1 failed"
    assert lines[1] == f"driven by process {os.getpid()} on {socket.gethostname()}"
    (first,) = [line for line in lines if line.lstrip().startswith("0 ")]
    assert "1 of 2" in first and "62.50%" in first and "gpu-box 1a2b3c4d" in first
    assert "H100: 14.2 of 80 GB, 93%" in first and " s ago" in first
    (second,) = [line for line in lines if line.lstrip().startswith("1 ")]
    assert "waiting" in second and "images are gone (on gpu-box 1a2b3c4d)" in second
    assert "node other-box 5e6f7a8b is left out: 3 failures in a row" in lines
    assert "trial 2 failed on gpu-box 1a2b3c4d: RuntimeError: shapes differ" in output
    assert f"  {directory.errors / '0002.txt'}" in lines
    assert hashlib.sha256(directory.ledger.read_bytes()).digest() == before
    ledger.record_end_of_driver()
    assert main(["one", "--runs-dir", str(directory.runs)]) == 0
    assert "not running: its driver," in (said := capsys.readouterr().out) and "cut off" in said


def test_a_status_as_json_is_for_scripts(
    search: tuple[RunDirectory, Ledger], capsys: pytest.CaptureFixture[str]
) -> None:
    directory, _ = search
    assert main(["one", "--json", "--runs-dir", str(directory.runs)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["format"] == "status/1" and found["driver"]["ended_at"] is None
    first, second = found["running"]
    assert first["node"] == "gpu-box 1a2b3c4d" and first["gpu"]["utilisation"] == 0.93
    assert (first["state"], second["state"]) == ("training", "waiting")
    assert found["failed"][0]["reason"] == "RuntimeError: shapes differ"


def test_what_was_heard_of_trials_is_in_the_ledger(search: tuple[RunDirectory, Ledger]) -> None:
    directory, ledger = search
    again = Ledger.open(ledger_url(directory.ledger), "one")
    assert again.records == ledger.records and again.driver == ledger.driver
    record = again.record(0)
    assert isinstance(record.place, Place) and record.reported_at is not None and record.mishap is None
    assert isinstance(again.record(1).mishap, Mishap)
    # Times go on from what is written.
    assert again.clock() >= record.reported_at


def test_a_search_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["one", "--runs-dir", str(tmp_path)]) == 2
    assert "unknown search 'one'" in capsys.readouterr().err


def test_a_driver_that_is_only_starting_is_known_by_its_lock(
    search: tuple[RunDirectory, Ledger], capsys: pytest.CaptureFixture[str]
) -> None:
    directory, ledger = search
    ledger.record_driver("elsewhere", 1)
    ledger.record_end_of_driver()
    with driver_lock(directory):
        assert main(["one", "--runs-dir", str(directory.runs)]) == 0
        assert capsys.readouterr().out.splitlines()[1] == f"driven by process {os.getpid()} on {socket.gethostname()}"
    # A process that has gone, or of another machine, says nothing of the driver.
    left = json.loads(directory.lock.read_bytes())
    with subprocess.Popen(["true"]) as ended:
        pass
    for content in (json.dumps(left | {"pid": ended.pid}), json.dumps(left | {"host": "third"}), "{"):
        directory.lock.write_text(content)
        assert main(["one", "--runs-dir", str(directory.runs)]) == 0
        assert "process 1 on elsewhere, has ended in order" in capsys.readouterr().out


def test_a_search_that_goes_on_is_driven_while_it_is_checked_and_loaded(
    search: tuple[RunDirectory, Ledger], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, ledger = search
    ledger.record_driver("elsewhere", 1)
    ledger.record_end_of_driver()
    said = []

    def check(command: Command, directory: RunDirectory) -> None:
        main(["one", "--runs-dir", str(directory.runs)])
        said.append(capsys.readouterr().out)
        raise UserError("enough")

    monkeypatch.setattr("nas.search.check_search", check)
    monkeypatch.setattr("nas.search.prepare_machine", lambda needs: None)
    assert go_on(["--resume", "one", "--runs-dir", str(directory.runs)]) == 2
    assert f"driven by process {os.getpid()}" in said[0]
    assert main(["one", "--runs-dir", str(directory.runs)]) == 0
    shown = capsys.readouterr().out
    # Its user has ended it, and has trials that are not at their end.
    assert "has ended in order" in shown and f"nas/search.py --resume one --runs-dir {directory.runs}" in shown
    for record in ledger.records:
        ledger.end(record.number, "stopped")
    assert main(["one", "--runs-dir", str(directory.runs)]) == 0
    assert "--resume" not in capsys.readouterr().out


def test_a_driver_that_was_killed_is_said_to_be_gone(
    search: tuple[RunDirectory, Ledger], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its trials are not being trained any more, and a process that has its id by now is not it."""
    directory, ledger = search
    with driver_lock(directory):
        ledger.record_driver(socket.gethostname(), os.getpid())
        assert main(["one", "--runs-dir", str(directory.runs)]) == 0
        assert f"driven by process {os.getpid()}" in capsys.readouterr().out
    with subprocess.Popen(["true"]) as ended:
        pass
    for process in (ended.pid, os.getpid()):
        ledger.record_driver(socket.gethostname(), process, ["--address", "auto", "--gpus-per-trial", "1"])
        ledger.record_place(0, "gpu-box 1a2b3c4d")
        assert main(["one", "--runs-dir", str(directory.runs)]) == 0
        said = capsys.readouterr().out
        assert f"its driver, process {process} on {socket.gethostname()}, was killed or ended at once" in said
        # As it ran last: on the machines of a cluster, with its GPUs.
        assert "nas/search.py --resume one --address auto --gpus-per-trial 1 " in said
        assert "cut off" in said and "training" not in said
        assert main(["one", "--json", "--runs-dir", str(directory.runs)]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["driver_state"] == "gone" and {trial["state"] for trial in found["running"]} == {"cut off"}
        assert control(["one", "--stop", "--runs-dir", str(directory.runs)]) == 2
        assert "does not run" in capsys.readouterr().err
        assert control(["one", "--trials", "9", "--runs-dir", str(directory.runs)]) == 2
        assert "--resume one --trials 9 --address auto --gpus-per-trial 1 " in capsys.readouterr().err


def test_a_driver_that_is_suspended_is_said_to_be(
    search: tuple[RunDirectory, Ledger], capsys: pytest.CaptureFixture[str]
) -> None:
    directory, ledger = search
    holds = f"import time; file = open({str(directory.lock)!r}, 'w'); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", holds], stdout=subprocess.PIPE) as driver:
        try:
            assert present(driver.stdout).readline()
            ledger.record_driver(socket.gethostname(), driver.pid)
            driver.send_signal(signal.SIGSTOP)
            os.waitpid(driver.pid, os.WUNTRACED)
            assert main(["one", "--runs-dir", str(directory.runs)]) == 0
            assert f"is suspended: `fg` in its terminal, or `kill -CONT {driver.pid}`" in capsys.readouterr().out
            assert control(["one", "--stop", "--runs-dir", str(directory.runs)]) == 2
            assert f"process {driver.pid}, is suspended and hears nothing" in capsys.readouterr().err
            driver.send_signal(signal.SIGCONT)
            assert main(["one", "--runs-dir", str(directory.runs)]) == 0
            assert f"driven by process {driver.pid}" in capsys.readouterr().out
        finally:
            driver.kill()


def test_a_file_is_no_terminal_whatever_the_environment_says(
    search: tuple[RunDirectory, Ledger], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Notebooks and CI set FORCE_COLOR, where lines would be cut, and a search would draw its display anew and anew."""
    directory, _ = search
    assert main(["one", "--runs-dir", str(directory.runs)]) == 0
    plain = capsys.readouterr().out.splitlines()
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "CLICOLOR_FORCE"):
        monkeypatch.setenv(name, "1")
    assert not output_console().is_terminal and not error_console().is_terminal
    assert main(["one", "--runs-dir", str(directory.runs)]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said and len(said.splitlines()) == len(plain)


@pytest.mark.parametrize("zero", ["0", "00", ""])
def test_a_terminal_of_no_columns_is_one_whose_width_is_not_known(
    zero: str,
    search: tuple[RunDirectory, Ledger],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Some terminals in an editor, and containers, set COLUMNS so."""
    directory, _ = search
    arguments = ["one", "--runs-dir", str(directory.runs)]
    for name in ("COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    assert main(arguments) == 0
    plain = capsys.readouterr().out.splitlines()
    sizes = [output_console().size, error_console().size]
    for name in ("COLUMNS", "LINES"):
        monkeypatch.setenv(name, zero)
    assert [output_console().size, error_console().size] == sizes
    assert main(arguments) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(plain) > 3
    # A width that is known is kept to.
    monkeypatch.setenv("COLUMNS", "100")
    assert output_console().width == 100


@pytest.mark.parametrize(
    "program",
    [main, report, export, lambda words: control([*words, "--stop"]), train_fully],
    ids=["status", "report", "export", "control", "train_fully"],
)
def test_without_a_name_the_searches_that_there_are_are_listed_newest_first(
    program: Callable[[list[str]], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, moment in (("older", 1e9), ("newest", 1.7e9), ("oldest", 9e8)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ledger.db").touch()
        os.utime(tmp_path / name / "ledger.db", (moment, moment))
    assert program(["--runs-dir", str(tmp_path)]) == 2
    output, error = capsys.readouterr()
    assert output == "" and [line.split()[0] for line in error.splitlines()] == ["newest", "older", "oldest", "error:"]
    assert program(["--runs-dir", str(tmp_path / "newest")]) == 2
    assert "NAME is missing: there is no search in" in capsys.readouterr().err
