"""The script by which schedulers run a search that may have been begun already."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from nas.settings.run_directory import run_directory
from nas.settings.search_arguments import argument_parser

SCRIPT = Path(__file__).resolve().parents[2] / "cluster" / "begin_or_resume.sh"


def run_with(checkout: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([checkout / "cluster" / SCRIPT.name, *arguments], cwd=cwd, capture_output=True, text=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A project whose Python only says what it is told."""
    for name in ("cluster", ".venv/bin"):
        (tmp_path / name).mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$PWD" "$@"\nexit 143\n', encoding="utf-8")
    python.chmod(0o755)
    copy = tmp_path / "cluster" / SCRIPT.name
    copy.write_bytes(SCRIPT.read_bytes())
    copy.chmod(SCRIPT.stat().st_mode)
    return tmp_path


def test_a_search_is_begun_once_and_then_gone_on_with(checkout: Path) -> None:
    runs = checkout / "runs of mine"
    flags = ["--space", "resnet_stages", "space.depth=[14, 26]"]
    directory = run_directory(str(runs), "one")
    directory.path.mkdir(parents=True)
    # A search that was ended before it had a ledger leaves its directory.
    (directory.path / "driver.lock").touch()
    found = []
    for ledger in (None, directory.ledger, directory.ledger_note):
        if ledger is not None:
            ledger.touch()
        done = run_with(checkout, "one", str(runs), *flags)
        place, script, *arguments = done.stdout.splitlines()
        assert (done.returncode, place, script) == (143, str(checkout), "nas/search.py")
        read = argument_parser([]).parse_intermixed_args(arguments)
        assert (read.runs_dir, read.space, read.overrides) == (str(runs), flags[1], flags[2:])
        found.append((read.name, read.resume))
        if ledger is not None:
            ledger.unlink()
    assert found == [("one", None), (None, "one"), (None, "one")]


def test_the_runs_are_where_the_command_was_typed(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    done = run_with(checkout, "one", "runs", "--space", "resnet_stages", cwd=elsewhere)
    assert done.stdout.splitlines()[-1] == str(elsewhere / "runs")
    (checkout / ".venv" / "bin" / "python").unlink()
    missing = run_with(checkout, "one", "runs", cwd=elsewhere)
    assert missing.returncode == 2 and missing.stderr.startswith(f"error: no .venv in {checkout}: make it there")


def test_one_that_was_begun_on_another_machine_is_gone_on_with(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which the database knows, if there is one."""
    python = checkout / ".venv" / "bin" / "python"
    text = python.read_text(encoding="utf-8")
    python.write_text(text.replace("\n", '\n[ "$1 $2" != "nas/status.py one" ] || exit 0\n', 1), encoding="utf-8")
    found = []
    for url in (None, "postgresql://host/ledgers"):
        if url is not None:
            monkeypatch.setenv("NAS_LEDGER_URL", url)
        for name in ("one", "two"):
            arguments = run_with(checkout, name, "runs").stdout.splitlines()[2:]
            read = argument_parser([]).parse_intermixed_args(arguments)
            found.append((read.name, read.resume))
    assert found == [("one", None), ("two", None), (None, "one"), ("two", None)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one"], "error: expected NAME RUNS_DIR [flags of nas/search.py]."),
        (["one", "runs", "--config=a.yaml"], "error: --config is not for a search that may have to go on"),
        (["one", "runs", "--config", "a.yaml"], "error: --config is not for a search that may have to go on"),
    ],
)
def test_mistakes_are_said_in_a_line(arguments: list[str], message: str, checkout: Path) -> None:
    done = run_with(checkout, *arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(message) and done.stderr.count("\n") == 1


def test_what_is_run_is_bashs() -> None:
    scripts = sorted(SCRIPT.parent.rglob("*.sh"))
    assert SCRIPT in scripts
    for script in scripts:
        assert os.access(script, os.X_OK)
        subprocess.run(["bash", "-n", script], check=True)
        used = re.findall(r"(?m)^ *(?:exec )?((?:cluster|nas)/[\w/.]+)", script.read_text(encoding="utf-8"))
        assert all((SCRIPT.parents[1] / shlex.split(name)[0]).exists() for name in used)
