"""Standard streams that are closed, full, broken or of another encoding, under a real program of its own process."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

PROGRAM = """
import os, sys
from search_spaces.standard_streams import run_program
def main(arguments):
    for line in range(int(arguments[2])):
        print("R14 w8 · c A3×4r ← ü", os.fsdecode(b"\\xff"), flush=True)
    with open(arguments[0], "w") as done:
        done.write("done")
    return int(arguments[1])
sys.exit(run_program(main))
"""
FULL = "error: standard output cannot be written (No space left on device): the rest of it is lost.\n"


def run(
    tmp_path: Path, redirection: str, code: int = 0, environment: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[bytes]:
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    # More than a pipe holds, so that a reader that goes is noticed however late it goes.
    lines = 5000 if redirection.startswith("|") else 3
    command = [sys.executable, "program.py", "done", str(code), str(lines)]
    done = subprocess.run(
        ["bash", "-c", f'set -o pipefail; "$@" {redirection}', "bash", *command],
        cwd=tmp_path, capture_output=True, timeout=60, check=False,
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PATH": "/usr/bin:/bin", **environment},
    )  # fmt: skip
    # Wherever its words went: what it was to do is done, and none of them went into its file.
    assert (tmp_path / "done").read_text() == "done"
    return done


@pytest.mark.parametrize(
    ("redirection", "code", "error"),
    [
        (">/dev/full", 1, FULL),
        ("2>&1 >/dev/full", 1, ""),
        (">/dev/full 2>&-", 1, ""),
        (">/dev/full 2>/dev/full", 1, ""),
        ("| true", 141, ""),
        ("| head -1 >/dev/null", 141, ""),
        (">&-", 0, ""),
        ("<&- >&- 2>&-", 0, ""),
    ],
)
def test_what_is_to_be_done_is_done_and_the_exit_code_tells(
    redirection: str, code: int, error: str, tmp_path: Path
) -> None:
    done = run(tmp_path, redirection)
    assert (done.returncode, done.stderr.decode()) == (code, error)


def test_a_mistake_is_worse_than_an_output_that_nobody_reads(tmp_path: Path) -> None:
    assert run(tmp_path, "| true", code=2).returncode == 2


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"PYTHONIOENCODING": "ascii"}, b"R14 w8 . c A3x4r <- \\xfc \xff\n"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, b"R14 w8 . c A3x4r <- \\xfc \xff\n"),
        ({"PYTHONIOENCODING": "cp1252"}, b"R14 w8 \xb7 c A3\xd74r <- \xfc \xff\n"),
        ({"PYTHONIOENCODING": "utf-8"}, "R14 w8 · c A3×4r ← ü ".encode() + b"\xff\n"),
    ],
)
def test_what_an_encoding_lacks_stands_in_plain_letters(
    environment: dict[str, str], line: bytes, tmp_path: Path
) -> None:
    done = run(tmp_path, "", environment=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, 3 * line, b"")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        ("UserError('--out is 1')", 2, "error: --out is 1\n"),
        ("PermissionError(13, 'Permission denied', '/a\\nb')", 2, "error: '/a\\nb' is not for this user to read,"),
        ("PermissionError(1, 'Operation not permitted')", 1, "Traceback"),
        ("OSError(28, 'No space left on device', '/a')", 1, "Traceback"),
    ],
)
def test_a_mistake_that_nobody_caught_is_told_in_a_line(error: str, code: int, said: str, tmp_path: Path) -> None:
    program = PROGRAM.replace("def main(arguments):", f"def main(arguments):\n    raise {error}")
    program = f"from search_spaces.errors import UserError\n{program}"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (code, "") and done.stderr.startswith(said)
    assert code == 1 or done.stderr.count("\n") == 1


def test_a_directory_that_has_gone_is_said_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "gone").mkdir()
    program = f"{sys.executable} {tmp_path / 'program.py'} {tmp_path / 'done'} 0 3"
    done = subprocess.run(
        ["bash", "-c", f"rmdir ../gone && {program}"],
        cwd=tmp_path / "gone", capture_output=True, text=True, timeout=60, check=False,
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "") and not (tmp_path / "done").exists()
    assert done.stderr == "error: the directory that you stand in has been removed: change to one that is there.\n"
