"""Checkpoints: what is written is read back, and no damage passes for a sound one."""

import hashlib
import logging
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.present import present
from trainers.checkpoint import MAGIC, newest_sound_checkpoint, save_checkpoint
from trainers.folders import Directory

STATE: dict[str, Any] = {
    "weight": torch.arange(6.0).reshape(2, 3),
    "epoch": 3,
    "recipe": {"augment": "none"},
    "averaged": None,
}


def test_state_comes_back(tmp_path: Path) -> None:
    directory = tmp_path / "made" / "here"
    assert newest_sound_checkpoint(Directory(directory)) is None
    save_checkpoint(Directory(directory), 3, STATE)
    epoch, state = present(newest_sound_checkpoint(Directory(directory)))
    assert epoch == 3
    assert torch.equal(state.pop("weight"), STATE["weight"])
    assert state == {key: value for key, value in STATE.items() if key != "weight"}


def test_the_newest_are_kept_and_nothing_else_is_left(tmp_path: Path) -> None:
    for epoch in (8, 9, 10, 11):
        save_checkpoint(Directory(tmp_path), epoch, {"epoch": epoch}, keep=2)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["epoch-000010.checkpoint", "epoch-000011.checkpoint"]
    assert newest_sound_checkpoint(Directory(tmp_path)) == (11, {"epoch": 11})


def test_every_truncation_is_detected_and_the_one_before_is_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_checkpoint(Directory(tmp_path), 1, {"epoch": 1})
    content = (tmp_path / save_checkpoint(Directory(tmp_path), 2, {"epoch": 2})).read_bytes()
    for length in [*range(0, 100), *range(100, len(content), 37), len(content) - 1]:
        (tmp_path / "epoch-000002.checkpoint").write_bytes(content[:length])
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert newest_sound_checkpoint(Directory(tmp_path)) == (1, {"epoch": 1}), length
        assert len(caplog.messages) == 1 and "epoch-000002.checkpoint is damaged" in caplog.messages[0]
        assert (tmp_path / "epoch-000002.checkpoint.corrupt").read_bytes() == content[:length]
        assert not (tmp_path / "epoch-000002.checkpoint").exists()


def test_every_flipped_bit_is_detected(tmp_path: Path) -> None:
    path = tmp_path / save_checkpoint(Directory(tmp_path), 1, {"epoch": 1})
    content = path.read_bytes()
    for place in [*range(0, 90), *range(90, len(content), 13)]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        assert newest_sound_checkpoint(Directory(tmp_path)) is None, place
    path.write_bytes(content + b"\0")
    assert newest_sound_checkpoint(Directory(tmp_path)) is None
    path.write_bytes(content)
    assert newest_sound_checkpoint(Directory(tmp_path)) == (1, {"epoch": 1})


def test_a_failed_write_leaves_the_older_checkpoint(tmp_path: Path) -> None:
    save_checkpoint(Directory(tmp_path), 1, {"epoch": 1})
    # The name that the new one is written under first cannot be opened as a file.
    (tmp_path / ".epoch-000002.checkpoint.partial").mkdir()
    with pytest.raises(OSError):
        save_checkpoint(Directory(tmp_path), 2, {"epoch": 2})
    assert newest_sound_checkpoint(Directory(tmp_path)) == (1, {"epoch": 1})


def test_what_a_crash_left_half_written_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".epoch-000001.checkpoint.partial").write_bytes(b"half")
    assert newest_sound_checkpoint(Directory(tmp_path)) is None
    save_checkpoint(Directory(tmp_path), 1, {"epoch": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-000001.checkpoint"]


class Command:
    def __init__(self, directory: str) -> None:
        self.directory = directory

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (self.directory,)


def test_a_checkpoint_executes_nothing(tmp_path: Path) -> None:
    state = {"epoch": Command(str(tmp_path / "executed"))}
    path = tmp_path / "epoch-000001.checkpoint"
    torch.save(state, path)
    payload = path.read_bytes()
    path.write_bytes(MAGIC + b" " + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)
    with pytest.raises(pickle.UnpicklingError):
        newest_sound_checkpoint(Directory(tmp_path))
    assert not (tmp_path / "executed").exists()
