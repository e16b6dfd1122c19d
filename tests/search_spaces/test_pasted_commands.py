"""Commands to be pasted, given to the shell that they are for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from search_spaces.pasted_commands import PROJECT, python_command, shell_word

WORDS = [
    "plain", "a b", "it's", 'say "x"', "$HOME `id`", "what?", "[a,b]", "#1", "~", "-x", "ü→", "a\nb\tc\r", "", "\\n",
    "it's\na \\ü", os.fsdecode(b"\xff\xfe"), "!!", ";&|<>",
]  # fmt: skip


@pytest.mark.parametrize("text", WORDS)
def test_the_shell_reads_the_word_that_was_meant(text: str) -> None:
    word = shell_word(text)
    assert "\n" not in word and "\r" not in word
    read = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True).stdout
    assert read == os.fsencode(text)


def test_a_command_means_the_same_in_another_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my runs?").mkdir()
    command = python_command("nas/export.py", "nothing", "--list", "--runs-dir", str(tmp_path / "my runs?"))
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", command], cwd="/", env=environment, capture_output=True, text=True, timeout=60)
    assert f"unknown search 'nothing': there is none in '{tmp_path / 'my runs?'}'" in done.stderr


def test_it_is_short_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    assert python_command("nas/report.py", "mine") == "python nas/report.py mine"
