"""`vision-nas PROGRAM`: the scripts of a checkout under one name, wherever the project was installed."""

import os
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from search_spaces.pasted_commands import python_command
from search_spaces.programs import MODULES, PROGRAMS, program
from tests.project.rooms import ENTRIES, PROJECT
from vision_architecture_search.__main__ import main


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """The exit code of the command, started as the installed script does."""
    monkeypatch.setattr(sys, "argv", ["vision-nas", *words])
    # What it puts in their place must not outlive the test.
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    with pytest.raises(SystemExit) as end:
        sys.exit(main())
    sys.stderr.flush()
    assert isinstance(end.value.code, int)
    return end.value.code


def test_every_entry_is_a_program_and_every_program_is_there() -> None:
    scripts = {script for script, _ in PROGRAMS.values()}
    assert scripts == {f"{entry.replace('.', '/')}.py" for entry in ENTRIES} | set(MODULES)
    assert all((PROJECT / script).is_file() for script in scripts)
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert declared == {"vision-nas": "vision_architecture_search.__main__:main"}


@pytest.mark.parametrize("word", PROGRAMS)
def test_every_program_has_a_help_and_a_version(
    word: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, word, "--help") == 0
    assert capfd.readouterr().out.startswith(f"usage: {program(PROGRAMS[word][0])}")
    assert run(monkeypatch, word, "--version") == 0
    assert capfd.readouterr().out.startswith("vision-architecture-search ")


def test_the_command_alone_names_its_programs(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for words in ([], ["--help"]):
        assert run(monkeypatch, *words) == 0
        said = capfd.readouterr().out
        assert all(f"\n  {word} " in said for word in PROGRAMS)
    assert run(monkeypatch, "--version") == 0
    assert run(monkeypatch, "serch") == 2
    error = capfd.readouterr().err
    assert error.startswith("error: unknown program 'serch'") and "Did you mean 'search'?" in error


def test_a_program_does_what_its_script_does(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "cost", "resnet26-attention", "--image-size", "64") == 0
    said = capfd.readouterr().out
    monkeypatch.setattr(sys, "argv", ["cost.py", "resnet26-attention", "--image-size", "64"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(PROJECT / "search_spaces/cost.py"), run_name="__main__")
    assert capfd.readouterr().out == said and "total" in said
    assert run(monkeypatch, "predict", "nothing", "picture.png") == 2
    assert "is no bundle" in capfd.readouterr().err


def test_without_a_checkout_the_commands_that_are_printed_are_the_installed_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search_spaces.version.__file__", str(tmp_path / "search_spaces/version.py"))
    assert program("trainers/predict.py") == "vision-nas predict"
    assert python_command("nas/search.py", "--resume", "my search") == "vision-nas search --resume 'my search'"


@pytest.mark.parametrize(
    ("line", "expected", "others"),
    [
        ("vision-nas s", {"search", "status"}, {"export"}),
        ("vision-nas search --tri", {"--trials "}, set()),
        ("vision-nas status ", {"first", "second", "--json"}, {"search"}),
        ("vision-nas predict --", {"--json", "--top"}, {"--trials"}),
        # Of a single answer the shell is told that the word is whole.
        ("vision-nas report --runs-dir elsewhere ", {"third", "--open"}, {"first"}),
        ("vision-nas export --runs-dir=elsewhere third --pick ", {"knee", "within=", "trial="}, {"third"}),
        ("vision-nas search --runs-dir elsewhere --resume ", {"third "}, set()),
        ("vision-nas search --prior ", {"first", "second"}, {"third"}),
        ("vision-nas search --space ", {"resnet_stages", "elsewhere/"}, set()),
        ("vision-nas status --runs-dir ", {"runs/", "elsewhere/"}, set()),
    ],
)
def test_a_shell_completes_programs_flags_and_searches(
    line: str, expected: set[str], others: set[str], tmp_path: Path
) -> None:
    for name in ("runs/first", "runs/second", "elsewhere/third"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "ledger.db").touch()
    answer = tmp_path / "answer"
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "\n"}
    environment = {**os.environ, **asked, "_ARGCOMPLETE_STDOUT_FILENAME": str(answer)}
    command = [sys.executable, "-m", "vision_architecture_search"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=120)
    found = set(answer.read_text(encoding="utf-8").split("\n"))
    assert expected <= found and not others & found
