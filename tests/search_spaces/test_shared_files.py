"""Files that several processes may write at the same time."""

from pathlib import Path

import pytest

from search_spaces.shared_files import create_shared_file, replace_shared_file


def test_of_a_file_that_is_created_the_first_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    create_shared_file(path, b"first", 0o640)
    with pytest.raises(FileExistsError):
        create_shared_file(path, b"second", 0o644)
    assert path.read_bytes() == b"first" and path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_of_one_that_is_replaced_the_last_does(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    for content in (b"first", b"second"):
        replace_shared_file(path, content)
    assert path.read_bytes() == b"second" and list(path.parent.iterdir()) == [path]
