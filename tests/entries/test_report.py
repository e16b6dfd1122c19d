import csv
import errno
import subprocess
import sys
import webbrowser
from pathlib import Path

import pytest
from matplotlib.image import imread

from nas.driver.command_line import read_command
from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.records.trial import Outcome, TrialRecord
from nas.report import main
from nas.reporting.write import write_report
from tests.support.reports import FACTS, RECORDS, Page
from tests.support.searches import DIGITS, epoch_result, search_header, tiny_space

FILES = {
    "front.html", "front.png", "hypervolume.png", "learning_curves.png", "choices.png", "importance.png",
    "trials.csv", "front.csv",
}  # fmt: skip

HEADER = search_header()


def add_trial(ledger: Ledger, accuracies: list[float], outcome: Outcome) -> None:
    number, architecture = ledger.next_number, ledger.propose(tiny_space(), "random", search_seed=0)
    cost = DIGITS.cost(architecture)
    record = TrialRecord(number, architecture, cost.flops, cost.params, seed=number, outcome="running")
    ledger.register(record, tiny_space())
    for index, accuracy in enumerate(accuracies):
        ledger.record_epoch(number, epoch_result(index + 1, accuracy))
    if outcome != "running":
        ledger.end(number, outcome)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A runs directory with the search `small`, whose last proposal is not registered yet."""
    path = tmp_path / "runs" / "small"
    path.mkdir(parents=True)
    ledger = Ledger.create(ledger_url(path / "ledger.db"), "small", HEADER)
    add_trial(ledger, [0.5, 0.8], "finished")
    add_trial(ledger, [0.4], "stopped")
    return path.parent


def mistake(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("error: ") and printed.err.count("\n") == 1
    return printed.err


def test_a_report_comes_from_the_ledger_alone(runs: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from nas.report import main; code = main(sys.argv[1:]);"
        "sys.exit(code or any(name in sys.modules for name in ('mlflow', 'ray')))"
    )
    command = [sys.executable, "-c", program, "small", "--runs-dir", str(runs), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == tmp_path / "out" / "front.html"
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    page = Page((tmp_path / "out" / "front.html").read_text(encoding="utf-8"))
    assert page.texts["title"] == "small"
    assert [trial["outcome"] for trial in page.data["trials"]] == ["finished", "stopped"]
    assert "1 trial was stopped before 2 epochs" in page.texts["p"]
    assert f"nas/export.py small --pick knee --runs-dir {runs}" in page.texts["code"]
    # The settings that it shows begin the same search.
    (tmp_path / "settings.yaml").write_text(page.texts["settings"], encoding="utf-8")
    again = read_command(["--config", str(tmp_path / "settings.yaml")])
    assert (again.search, again.training, again.space) == (HEADER.search, HEADER.training, HEADER.space)


def test_a_search_that_runs_is_not_disturbed(runs: Path) -> None:
    ledger = Ledger.open(ledger_url(runs / "small" / "ledger.db"), "small")
    architecture = ledger.propose(tiny_space(), "random", search_seed=1)
    before = (runs / "small" / "ledger.db").read_bytes()
    assert main(["small", "--runs-dir", str(runs)]) == 0
    assert (runs / "small" / "ledger.db").read_bytes() == before
    assert {path.name for path in (runs / "small" / "report").iterdir()} == FILES
    number = ledger.next_number
    ledger.register(TrialRecord(number, architecture, 1, 1, seed=0, outcome="running"), tiny_space())


def test_what_takes_long_is_said(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever takes a moment already counts as long here."""
    monkeypatch.setattr("nas.report.LOADING_SECONDS", 0.0)
    where = ("--runs-dir", str(runs))
    assert main(["small", *where]) == 0
    output, error = capsys.readouterr()
    assert output.splitlines()[0].endswith("front.html")
    said = [line for line in error.splitlines() if line.endswith(" …")]
    assert said == ["reading the ledger of small …", "writing the report …"]


def test_a_page_is_opened_on_demand(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []

    def open_once(address: str) -> bool:
        opened.append(address)
        return len(opened) == 1

    monkeypatch.setattr(webbrowser, "open", open_once)
    assert main(["small", "--runs-dir", str(runs), "--open"]) == 0
    assert opened == [(runs / "small" / "report" / "front.html").as_uri()]
    capsys.readouterr()
    # As on a server: the page is there all the same.
    assert main(["small", "--runs-dir", str(runs), "--open"]) == 0
    output, error = capsys.readouterr()
    assert output.strip().endswith("front.html") and error.splitlines()[-1].startswith(
        "no browser could be started here"
    )


def test_mistakes_are_one_line(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--runs-dir", runs)
    assert "Did you mean 'small'?" in mistake(capsys, "smal", *where)
    assert "Did you mean '--out'?" in mistake(capsys, "small", "--ut", "x", *where)
    assert "not allowed with" in mistake(capsys, "small", "--open", "--out", "x", *where)
    (tmp_path / "file").write_text("")
    assert "cannot be written" in mistake(capsys, "small", "--out", tmp_path / "file", *where)
    (runs / "small" / "ledger.db").write_bytes(b"not a ledger" * 100)
    assert "ledger of search 'small' cannot be read" in mistake(capsys, "small", *where)


def test_a_full_disk_is_a_failure_and_a_place_that_is_not_to_be_written_a_mistake(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    where = ["--runs-dir", str(runs), "--out"]
    assert "cannot be written: '/proc' is not writable" in mistake(capsys, "small", *where, "/proc/there")

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("nas.reporting.write.replace_shared_file", full)
    assert main(["small", *where, str(tmp_path / "out")]) == 1
    said = f"error: the report cannot be written to '{tmp_path / 'out'}': No space left on device\n"
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize("records", [RECORDS, RECORDS[3:], []], ids=["front", "no front", "nothing"])
def test_files_are_written_whatever_there_is(records: list[TrialRecord], tmp_path: Path) -> None:
    paths = write_report(tmp_path / "report", FACTS, records)
    assert {path.name for path in paths} == FILES == {path.name for path in (tmp_path / "report").iterdir()}
    for path in paths:
        assert path.suffix != ".png" or imread(path).std() > 0.01


def test_tables_hold_every_trial_and_the_front(tmp_path: Path) -> None:
    write_report(tmp_path, FACTS, RECORDS)
    with (tmp_path / "trials.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["number"]) for row in rows] == [record.number for record in RECORDS]
    assert [row["number"] for row in rows if row["on_front"] == "True"] == ["1", "2"]
    assert rows[2]["val_accuracy"] == "0.85" and rows[2]["flops"] == "3000000" and rows[2]["stage2"] == "A7×2n"
    assert rows[2]["train_seconds"] == "4.0" and rows[9]["duplicate_of"] == "2"
    assert rows[4]["reason"] == "over, the limit" and rows[4]["val_accuracy"] == "" == rows[4]["latency_ms"]
    with (tmp_path / "front.csv").open(encoding="utf-8", newline="") as file:
        assert [int(row["number"]) for row in csv.DictReader(file)] == [2, 1]


def test_what_is_for_a_store_needs_one(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The search has none, since it was never run."""
    (runs / "other").mkdir()
    Ledger.create(ledger_url(runs / "other" / "ledger.db"), "other", HEADER)
    where = ("--runs-dir", runs)
    elsewhere = ("--tracking-uri", f"sqlite:///{tmp_path / 'mlflow.db'}")
    for asked in (("small", *elsewhere), ("small", "--trained", tmp_path), ("small", "other", *elsewhere)):
        assert "search 'small' has no MLflow store" in mistake(capsys, *asked, *where)
    assert not (runs / "small" / "report").exists() and not (tmp_path / "mlflow.db").exists()


def test_a_search_whose_directory_was_renamed_is_called_by_its_name(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "small").rename(runs / "large")
    said = mistake(capsys, "large", "--runs-dir", runs)
    assert "the ledger of search 'large' cannot be read: it is that of search 'small'" in said
