"""Paths as they are typed."""

import errno
import os
from pathlib import Path

import pytest

from search_spaces.arguments import ArgumentParser, path
from search_spaces.errors import UserError
from search_spaces.paths import (
    check_can_be_directory,
    check_others_are_not_in,
    did_you_mean,
    not_permitted,
    user_path,
)


def test_a_tilde_is_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/jörg")
    assert user_path("~") == "/home/jörg" and user_path("~/a b?") == "/home/jörg/a b?"
    assert user_path("./~/x") == "./~/x" and user_path("a~") == "a~"


def test_what_can_be_no_path_is_said(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for text, message in (
        ("~nobody-of-that-name/x", "no home of '~nobody-of-that-name' is known: expected ./~nobody-of-that-name"),
        ("x" * 300, "File name too long"),
        (str(tmp_path / "loop"), "Too many levels of symbolic links"),
        (os.fsdecode(b"runs\xff"), "is no text: expected a name in UTF-8"),
        (
            "runs\n",
            r"'runs\\n' has white space around it or a line break in it, and is not there. Did you mean 'runs'",
        ),
        (" my runs", "Did you mean 'my runs'"),
    ):
        with pytest.raises(UserError, match=message):
            user_path(text)


def test_white_space_may_be_in_a_path_that_is_there(tmp_path: Path) -> None:
    (tmp_path / " a\nb ").mkdir()
    assert user_path(f"{tmp_path}/ a\nb ") == f"{tmp_path}/ a\nb "
    assert user_path(f"{tmp_path}/ a new one") == f"{tmp_path}/ a new one"


def test_a_flag_says_which_it_is() -> None:
    parser = ArgumentParser()
    parser.add_argument("--out", type=path)
    for text, message in (("", "argument --out: is empty"), ("y" * 300, "argument --out: path 'yyy")):
        with pytest.raises(UserError, match=message):
            parser.parse_args(["--out", text])


def test_what_is_not_permitted_is_said_of_the_path_or_of_the_directory_above_it(tmp_path: Path) -> None:
    for named in (tmp_path / "a", os.fsencode(tmp_path / "a")):
        error = PermissionError(errno.EACCES, "Permission denied", named)
        assert not_permitted(error) == (
            f"{str(tmp_path / 'a')!r} is not for this user to read, or to write (Permission denied)."
        )
    # What is not there cannot be entered either.
    error = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "locked" / "a" / "b"))
    assert not_permitted(error) == (
        f"{str(tmp_path / 'locked' / 'a' / 'b')!r} cannot be reached: {str(tmp_path / 'locked')!r} may not be entered "
        "by this user."
    )


def test_what_is_not_permitted_and_names_no_path_stays_as_it_is() -> None:
    with pytest.raises(PermissionError, match="Operation not permitted"):
        not_permitted(PermissionError(errno.EPERM, "Operation not permitted"))


def test_a_zero_byte_is_in_no_path() -> None:
    with pytest.raises(UserError, match=r"'images\\x00' cannot be: no path holds a zero byte"):
        user_path("images\0")


def test_a_directory_that_can_be_is_not_made_yet(tmp_path: Path) -> None:
    check_can_be_directory(tmp_path / "new" / "newer", "--out 'new'")
    assert list(tmp_path.iterdir()) == []


def test_why_a_directory_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for place in (tmp_path / "file", tmp_path / "file" / "in it"):
        with pytest.raises(UserError, match=r"^--out 'x': '.*/file' is a file, expected a directory"):
            check_can_be_directory(place, "--out 'x'")
    # No directory of the kernel's can have others in it, whoever asks.
    with pytest.raises(UserError, match=r"^--out 'x': '/proc' is not writable \(nothing can be made there\)"):
        check_can_be_directory(Path("/proc/foo"), "--out 'x'")


def test_a_full_disk_is_left_to_whoever_writes_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**given: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.mkdtemp", full)
    check_can_be_directory(tmp_path / "new", "--out 'new'")


def test_what_is_not_there_has_a_nearest_path(tmp_path: Path) -> None:
    (tmp_path / "bundles" / "knee").mkdir(parents=True)
    for name in ("ok.png", "other.png", ".config.yaml", "config.yml"):
        (tmp_path / name).touch()
    for typed, meant in (
        ("okk.png", "ok.png"),
        ("OK.PNG", "ok.png"),
        ("config.yaml", "config.yml"),
        ("bundels/knee", "bundles/knee"),
        ("bundles/kne", "bundles/knee"),
        # What has its suffix alone in common is not meant, nor what is not in the nearest directory.
        ("picture.png", None),
        ("bundels/best", None),
        ("nothing/of/it", None),
        # What is there is what is meant.
        ("ok.png", None),
        ("ok.png/in-it", None),
    ):
        assert did_you_mean(tmp_path / typed) == (f" Did you mean {str(tmp_path / meant)!r}?" if meant else "")
    assert did_you_mean(tmp_path / "kon.png", Path.is_dir) == ""


def test_the_nearest_path_is_written_as_the_one_that_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    assert did_you_mean("runs") == " Did you mean 'run'?"


def test_a_directory_is_known_by_what_was_written_there(tmp_path: Path) -> None:
    check_others_are_not_in(tmp_path / "new", "page.html", "--out")
    (tmp_path / ".hidden").touch()
    check_others_are_not_in(tmp_path, "page.html", "--out")
    (tmp_path / "mine").touch()
    with pytest.raises(
        UserError, match=r"^--out: '.*' holds 'mine' and no page.html: expected a directory that is new"
    ):
        check_others_are_not_in(tmp_path, "page.html", "--out")
    (tmp_path / "page.html").touch()
    check_others_are_not_in(tmp_path, "page.html", "--out")
