"""Ctrl-C at any moment of a program ends it with 130 and no traceback; the imports that it reports are the moments."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from search_spaces.programs import PROGRAMS
from tests.support.exported_search import finished_search

PROJECT = Path(__file__).resolve().parents[2]
SCRIPTS = [script for script, _ in PROGRAMS.values()]
SEARCH = ["--space", "resnet_stages", "data=digits"]


def interrupted(directory: Path, script: str, arguments: list[str], module: str) -> tuple[int, str]:
    """The exit code of a program that is sent SIGINT once it has imported `module`, and what else it said."""
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", str(PROJECT / script), *arguments],
        cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    said, sent = "", False
    for line in process.stderr:
        if not line.startswith("import time:"):
            said += line
        elif not sent and line.rpartition("|")[2].strip() == module:
            process.send_signal(signal.SIGINT)
            sent = True
    assert sent, f"{module} was not imported: {said}"
    process.stderr.close()
    return process.wait(), said


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a finished search."""
    directory = tmp_path_factory.mktemp("interrupted")
    finished_search(directory / "runs")
    return directory


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("module", ["argparse", "search_spaces.errors"])
def test_while_the_first_modules_load(directory: Path, script: str, module: str) -> None:
    assert interrupted(directory, script, ["--help"], module) == (130, "")


@pytest.mark.parametrize(
    ("script", "arguments", "module"),
    [
        ("nas/search.py", [*SEARCH, "--plan"], "nas.settings.space_files"),
        ("nas/search.py", SEARCH, "numpy"),
        ("nas/export.py", ["found", "--list"], "optuna"),
        ("nas/report.py", ["found", "--out", "report"], "numpy"),
    ],
)
def test_while_it_loads_what_it_needs(directory: Path, script: str, arguments: list[str], module: str) -> None:
    assert interrupted(directory, script, arguments, module) == (130, "")
    assert {path.name for path in directory.iterdir()} == {"runs"}
