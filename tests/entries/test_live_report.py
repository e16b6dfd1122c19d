"""`nas/report.py NAME --serve`: the report to a browser on this machine, as it is while the search runs."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.driver.live_report import LOOK_SECONDS, LiveReport
from nas.driver.report_server import ReportServer
from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.records.trial import TrialRecord
from nas.report import main
from nas.settings.run_directory import RunDirectory, run_directory
from search_spaces.errors import UserError
from tests.project.rooms import PROJECT
from tests.support.reports import Page
from tests.support.searches import DIGITS, epoch_result, search_header, tiny_space

Search = tuple[RunDirectory, Ledger]


def add_trial(ledger: Ledger) -> int:
    number, architecture = ledger.next_number, ledger.propose(tiny_space(), "random", search_seed=0)
    cost = DIGITS.cost(architecture)
    ledger.register(TrialRecord(number, architecture, cost.flops, cost.params, number, "running"), tiny_space())
    return number


@pytest.fixture
def search(tmp_path: Path) -> Search:
    """A search that this process runs, with one trial trained to the end and one in training."""
    directory = run_directory(str(tmp_path / "runs"), "one")
    directory.path.mkdir(parents=True)
    ledger = Ledger.create(ledger_url(directory.ledger), "one", search_header())
    ledger.record_driver(socket.gethostname(), os.getpid())
    for epoch, accuracy in ((1, 0.5), (2, 0.8)):
        ledger.record_epoch(add_trial(ledger) if epoch == 1 else 0, epoch_result(epoch, accuracy))
    ledger.end(0, "finished")
    add_trial(ledger)
    return directory, ledger


class Clock:
    """A time that stands still until the next look is due."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pass_a_look(self) -> None:
        self.now += LOOK_SECONDS


@pytest.fixture
def served(search: Search) -> Iterator[tuple[ReportServer, Clock]]:
    clock = Clock()
    with ReportServer(LiveReport(search[0], None, clock=clock), 0) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server, clock
        server.shutdown()


def asked(server: ReportServer, path: str, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def version_of(text: str) -> int:
    return int(Page(text).data["live"]["version"])


def test_the_page_follows_the_search_to_its_end(search: Search, served: tuple[ReportServer, Clock]) -> None:
    directory, ledger = search
    server, clock = served
    before = directory.ledger.read_bytes()
    status, text = asked(server, "/")
    page = Page(text)
    assert status == 200 and page.texts["live"] == "The search runs: 1 training, 1 trained to the end so far."
    assert "Plotly" in text and "--serve" in page.texts["code"] and page.texts["settings"].startswith("space:")
    version = version_of(text)
    clock.pass_a_look()
    assert asked(server, f"/update?version={version}") == (204, "")
    assert directory.ledger.read_bytes() == before

    ledger.record_epoch(1, epoch_result(1, 0.7))
    # Not sooner than it is worth a look.
    assert asked(server, f"/update?version={version}") == (204, "")
    clock.pass_a_look()
    status, text = asked(server, f"/update?version={version}")
    assert status == 200 and len(text) < 200_000 and version_of(text) > version
    assert [trial.get("val_accuracy") for trial in Page(text).data["trials"]] == [0.8, 0.7]

    ledger.end(1, "stopped")
    ledger.record_end_of_driver()
    clock.pass_a_look()
    version = version_of(text)
    _, text = asked(server, f"/update?version={version}")
    assert Page(text).texts["live"] == "The search has ended: 1 trained to the end, 1 stopped early."
    # Of a page that an earlier server gave out.
    assert asked(server, "/update?version=1")[0] == asked(server, "/update")[0] == 200


def test_a_search_whose_process_is_gone_says_how_it_goes_on(search: Search, served: tuple[ReportServer, Clock]) -> None:
    directory, ledger = search
    server, clock = served
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    ledger.record_driver(socket.gethostname(), gone.pid)
    clock.pass_a_look()
    said = Page(asked(server, "/")[1]).texts["live"]
    assert said.startswith("The search was cut off, its process is gone: 1 trained to the end")
    assert f"--resume one --runs-dir {directory.runs}" in said


def test_a_ledger_that_is_damaged_or_gone_is_said_until_it_is_back(
    search: Search, served: tuple[ReportServer, Clock]
) -> None:
    directory, _ = search
    server, clock = served
    whole = directory.ledger.read_bytes()
    version = version_of(asked(server, "/")[1])
    directory.ledger.write_bytes(b"not a ledger" * 100)
    clock.pass_a_look()
    status, text = asked(server, f"/update?version={version}")
    assert status == 503 and text.startswith("the ledger of search 'one' cannot be read")
    directory.ledger.unlink()
    assert asked(server, "/")[1].startswith("unknown search 'one'")
    directory.ledger.write_bytes(whole)
    assert asked(server, f"/update?version={version}") == (204, "")


def test_nobody_but_a_browser_of_this_machine_is_answered(served: tuple[ReportServer, Clock]) -> None:
    server, _ = served
    assert server.socket.getsockname()[0] == "127.0.0.1"
    # As where a page from elsewhere has its own name lead here.
    status, text = asked(server, "/", Host=f"evil.example:{server.server_port}")
    assert status == 403 and "html" not in text
    assert asked(server, "/", Host=f"localhost:{server.server_port}")[0] == 200
    assert asked(server, "/../ledger.db")[0] == asked(server, "/etc/passwd")[0] == 404
    assert asked(server, "/favicon.ico") == (204, "")


def mistake(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 2
    output, error = capsys.readouterr()
    assert output == "" and error.startswith("error: ") and error.count("\n") == 1
    return error


def test_mistakes_are_one_line(search: Search, capsys: pytest.CaptureFixture[str]) -> None:
    directory, _ = search
    where = ("--runs-dir", str(directory.runs))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = mistake(capsys, "one", "--serve", "--port", str(port), *where)
        assert f"--port {port} of 127.0.0.1 cannot be had: Address already in use" in said
    assert "Did you mean 'one'?" in mistake(capsys, "on", "--serve", *where)
    assert "--out is not for --serve" in mistake(capsys, "one", "--serve", "--out", "x", *where)
    assert "--port is for --serve" in mistake(capsys, "one", "--port", "5000", *where)
    assert "expected at most 65535" in mistake(capsys, "one", "--serve", "--port", "70000", *where)
    directory.ledger.write_bytes(b"not a ledger" * 100)
    assert "cannot be read" in mistake(capsys, "one", "--serve", "--port", "0", *where)
    with pytest.raises(UserError):
        LiveReport(directory, None)


def test_ctrl_c_ends_it_quietly(search: Search) -> None:
    words = [str(PROJECT / "nas/report.py"), "one", "--serve", "--port", "0", "--runs-dir", str(search[0].runs)]
    process = subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        port = int(line.split("/")[2].partition(":")[2])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/update?version=0")
        assert json.loads(Page(connection.getresponse().read().decode()).texts["data"])["live"]["version"] > 0
        connection.close()
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", "")
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
