"""Writing files: whole and readable, or as they were."""

import json
from pathlib import Path

import pytest

from trainers.files import write_atomically, write_json_atomically


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    for value in ({"a": [1, None]}, {"ä": 0.1}):
        write_json_atomically(path, value)
        assert json.loads(path.read_bytes()) == value
        assert path.read_text(encoding="utf-8") == json.dumps(value, indent=2) + "\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "value"
    write_atomically(path, b"old")
    (tmp_path / ".value.partial").mkdir()
    with pytest.raises(OSError):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"


def test_what_is_no_json_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json_atomically(path, [1])
    with pytest.raises(TypeError):
        write_json_atomically(path, [object()])
    assert json.loads(path.read_bytes()) == [1] and list(tmp_path.iterdir()) == [path]
