from pathlib import Path

import pytest

from nas.settings.run_directory import check_writable, existing_run, run_directory
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
