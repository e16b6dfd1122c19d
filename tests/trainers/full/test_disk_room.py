"""Room for what a training is yet to write: refused where nothing fits, and else a warning."""

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from search_spaces.errors import UserError
from tests.support.tiny_training import RECIPE
from trainers.full.disk_room import check_room

PROJECT = Path(__file__).resolve().parents[3]
# Weights, averages and momentum: 12 MB; three of them at a time, and the network of 4 MB, take 40 MB.
PARAMS, AVERAGED = 1_000_000, dataclasses.replace(RECIPE, ema_decay=0.9, optimizer="sgd")


@pytest.mark.parametrize(
    ("free", "there", "said"),
    [
        (40_000_000, 0, None),
        (39_000_000, 0, "39.00 MB free, and 3 checkpoints and the trained network take 40.00 MB"),
        (12_000_000, 0, "12.00 MB free, and 3 checkpoints"),
        (16_000_000, 2, None),
        (15_000_000, 2, "15.00 MB free, and 1 checkpoint and the trained network take 16.00 MB"),
    ],
)
def test_room_that_may_still_become_free_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    free: int, there: int, said: str | None,
) -> None:  # fmt: skip
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    (tmp_path / "checkpoints").mkdir()
    for epoch in range(there):
        (tmp_path / "checkpoints" / f"epoch-{epoch:06d}.checkpoint").touch()
    check_room(tmp_path, PARAMS, AVERAGED)
    assert len(caplog.messages) == (said is not None) and (said or "") in caplog.text


def test_files_may_be_as_large_as_a_checkpoint_or_it_is_refused() -> None:
    program = (
        "from tests.trainers.full.test_disk_room import AVERAGED, PARAMS\n"
        "from trainers.full.disk_room import allow_checkpoints\n"
        "allow_checkpoints(PARAMS, AVERAGED)"
    )
    for limit, code in ((15_000, 0), (14_000, 1)):
        words = ["bash", "-c", f'ulimit -f {limit}; "$@"', "bash", sys.executable, "-c", program]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, cwd=PROJECT)
        assert done.returncode == code, done.stderr
    assert "files of 14.34 MB are allowed at most, and this takes one of 15 MB" in done.stderr


def test_where_no_checkpoint_fits_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=11_999_999))
    with pytest.raises(UserError, match=r"has 12\.00 MB free, and a checkpoint takes 12\.00 MB: make space"):
        check_room(tmp_path / "not" / "there", PARAMS, AVERAGED)
