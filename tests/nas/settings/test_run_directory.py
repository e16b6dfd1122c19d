import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.search import main as search
from nas.settings.run_directory import check_writable, existing_run, run_directory, search_names
from search_spaces.errors import UserError


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "", ".", "..", ".hidden", "a..b", "a\nb", "a" * 101, "-x", "a b", "/x", "a\0"]
)
def test_names_cannot_leave_the_runs_directory(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="search name"):
        run_directory(str(tmp_path), name)


@pytest.mark.parametrize("name", ["resnet_stages-20261122-140501", "a", "A.b-c_9"])
def test_paths_lie_under_the_runs_directory(name: str, tmp_path: Path) -> None:
    directory = run_directory(str(tmp_path), name)
    for path in (
        directory.ledger,
        directory.summary,
        directory.report,
        directory.ray,
        Path(str(directory.checkpoints(7))),
    ):
        assert path.resolve().is_relative_to(tmp_path.resolve() / name)


def test_an_unknown_search_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown search 'mine': there is none in"):
        existing_run(str(tmp_path), "mine")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "ledger.db").touch()
    (tmp_path / "unrelated").mkdir()
    assert existing_run(str(tmp_path), "mine").name == "mine"
    with pytest.raises(UserError, match=r"expected one of mine. Did you mean 'mine'"):
        existing_run(str(tmp_path), "mien")


def test_a_runs_directory_that_is_none_is_named_with_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "ledger.db").touch()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"unknown search 'mine': runs .*/run' is not there: .* mean '.*/runs'\?$"):
        existing_run(str(tmp_path / "run"), "mine")
    with pytest.raises(UserError, match=r"unknown search 'mine': runs .*/file' is a file, expected a directory\.$"):
        existing_run(str(tmp_path / "file"), "mine")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^search name 'runs/mine' is a path: .* Did you mean mine --runs-dir runs\?$"):
        existing_run("runs", "runs/mine")


def test_a_search_that_was_killed_while_it_started_has_not_begun(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "driver.lock").touch()
    with pytest.raises(
        UserError, match=r"'mine' is just starting, or .*: '.*/mine' holds no ledger yet\. .* start it again with"
    ):
        existing_run(str(tmp_path), "mine")
    with pytest.raises(
        UserError, match=r"One that was ended before it began left nothing: start it again with its first"
    ):
        existing_run(str(tmp_path), "other")


@pytest.mark.parametrize("left", ["front.json", "summary.json", "report", "checkpoints", "full"])
def test_a_search_that_has_lost_its_ledger_is_said_to_have_and_not_overwritten(
    left: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "mine"
    (directory / left).mkdir(parents=True)
    for name in ("driver.lock", "data.index"):
        (directory / name).touch()
    with pytest.raises(
        UserError, match=f"'mine' has lost its ledger: '.*/mine' holds {left} and neither ledger.db nor"
    ):
        existing_run(str(tmp_path), "mine")
    for flags in ([], ["--plan"]):
        words = ["--space", "resnet_stages", "data=digits", "--name", "mine", "--runs-dir", str(tmp_path), *flags]
        assert search(words) == 2
        assert "search 'mine' has lost its ledger" in capsys.readouterr().err
    assert {path.name for path in directory.iterdir()} == {"driver.lock", "data.index", left}


@pytest.mark.parametrize("name", ["comparisons", "Comparisons", "mlflow.db", "mlflow-artifacts"])
@pytest.mark.parametrize("flags", [["--name"], ["--resume", "old", "--fork"]])
def test_a_new_search_takes_no_name_of_another_part_of_the_runs_directory(
    name: str, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert search(["--space", "resnet_stages", "data=digits", "--plan", *flags, name]) == 2
    assert f"search name {name!r} is that of another part of the runs directory" in capsys.readouterr().err


def test_a_runs_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file"):
        check_writable(run_directory(str(tmp_path / "file"), "x"))
    with pytest.raises(UserError, match="is a file"):
        check_writable(run_directory(str(tmp_path / "file" / "below"), "x"))


@pytest.mark.parametrize("runs", ["/proc/x", "/proc", "/proc/self/x/y"])
def test_a_runs_directory_that_cannot_be_written_is_refused(runs: str) -> None:
    """The kernel's own file system, where not even root makes a directory."""
    with pytest.raises(UserError, match=r"'/proc.*' is not writable \(") as caught:
        check_writable(run_directory(runs, "x"))
    assert "\n" not in str(caught.value)


def test_checking_creates_nothing(tmp_path: Path) -> None:
    check_writable(run_directory(str(tmp_path / "new" / "runs"), "x"))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def shared() -> Iterator[Path]:
    """A runs directory that everybody may list, with a search that others may read and one that they may not."""
    with tempfile.TemporaryDirectory() as made:
        runs = Path(made)
        for name, mode in (("mine", 0o755), ("private", 0)):
            (runs / name).mkdir()
            (runs / name / "ledger.db").touch()
            (runs / name).chmod(mode)
        runs.chmod(0o755)
        yield runs
        (runs / "private").chmod(0o755)


@contextlib.contextmanager
def anybody() -> Iterator[None]:
    """Another user than root, who may enter everything."""
    user = os.geteuid()
    if not user:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_search_that_may_not_be_entered_is_said_to_be_so(shared: Path) -> None:
    with anybody():
        assert search_names(shared) == ["mine"]
        with pytest.raises(UserError, match=r"^search 'private' cannot be read: .* may not be entered by this user"):
            existing_run(str(shared), "private")
        with pytest.raises(UserError, match=r"^unknown search 'min': expected one of mine"):
            existing_run(str(shared), "min")
