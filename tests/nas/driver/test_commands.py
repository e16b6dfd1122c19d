"""The commands that a user is told to type next."""

import shlex
from pathlib import Path

import pytest

from nas.driver.command_line import read_command
from nas.driver.commands import (
    export_command,
    report_command,
    resume_command,
    status_command,
    status_lines,
    train_fully_command,
)
from nas.settings.cluster_settings import ClusterSettings
from nas.settings.run_directory import run_directory
from nas.status import argument_parser
from search_spaces.errors import UserError

HERE = ClusterSettings(address=None, gpus_per_trial=0, cpus_per_trial=1)


def test_what_is_the_default_is_left_out() -> None:
    directory = run_directory("runs", "mine")
    assert resume_command(directory, HERE) == "python nas/search.py --resume mine"
    assert report_command(directory) == "python nas/report.py mine"
    assert export_command(directory) == "python nas/export.py mine --pick knee"
    assert train_fully_command(directory) == "python nas/train_fully.py mine"


def test_a_search_goes_on_on_the_machines_that_it_ran_on() -> None:
    gpus = ClusterSettings(address="[::1]:6379", gpus_per_trial=0.5, cpus_per_trial=4, accelerator="H100")
    command = resume_command(run_directory("runs", "mine"), gpus)
    flags = ["--address", "[::1]:6379", "--gpus-per-trial", "0.5", "--cpus-per-trial", "4", "--accelerator", "H100"]
    assert shlex.split(command) == ["python", "nas/search.py", "--resume", "mine", *flags]


def test_how_many_processes_train_a_trial_is_told_again() -> None:
    several = ClusterSettings(address=None, gpus_per_trial=0, cpus_per_trial=1, processes_per_trial=2)
    command = resume_command(run_directory("runs", "mine"), several)
    assert command == "python nas/search.py --resume mine --processes-per-trial 2"
    assert read_command(["--space", "resnet_stages", *shlex.split(command)[4:]]).cluster == several


def test_a_dashboard_is_asked_for_again() -> None:
    watched = ClusterSettings(address=None, gpus_per_trial=0, cpus_per_trial=1, dashboard=True)
    command = resume_command(run_directory("runs", "mine"), watched)
    assert command == "python nas/search.py --resume mine --dashboard"
    assert read_command(["--space", "resnet_stages", *shlex.split(command)[4:]]).cluster == watched


@pytest.mark.parametrize(
    ("ledger", "storage", "where", "flags"),
    [
        (None, None, "any machine that sees {runs!r}, by", []),
        ("postgresql://host/db", None, "any machine that sees {runs!r}, by", ["--ledger-url", "postgresql://host/db"]),
        ("postgresql://host/db", "s3://b", "any machine, by", ["--ledger-url", "postgresql://host/db"]),
        ("postgresql://***@host/db", "s3://b", "any machine, with NAS_LEDGER_URL in its environment, by", []),
    ],
)
def test_a_search_on_a_cluster_says_how_it_is_looked_at_from_elsewhere(
    ledger: str | None, storage: str | None, where: str, flags: list[str], tmp_path: Path
) -> None:
    directory = run_directory(str(tmp_path), "mine").stored_at(storage)
    directory.path.mkdir()
    if ledger is not None:
        directory.ledger_note.write_text(f"{ledger}\n", encoding="utf-8")
    said, command = status_lines(directory)
    assert said.endswith(f"on {where.format(runs=str(tmp_path))}") and command.strip() == status_command(directory)
    options = argument_parser().parse_args(shlex.split(command)[2:])
    assert (options.name, options.runs_dir) == ("mine", str(tmp_path))
    assert options.ledger_url == (flags[1] if flags else None)


def test_a_command_can_be_pasted_whatever_the_directory_is_called(tmp_path: Path) -> None:
    directory = run_directory(str(tmp_path / "my runs; #1"), "mine")
    arguments = shlex.split(resume_command(directory, HERE))[2:]
    assert arguments[-1] == str(tmp_path / "my runs; #1")
    with pytest.raises(UserError, match="unknown search 'mine'"):
        read_command(arguments)
