"""Room on the storage path: what a search takes, and how its lack is told from other errors."""

import dataclasses
import sqlite3
import traceback
from contextlib import closing
from pathlib import Path

import pytest
import torch

from nas.driver.storage_check import check_space
from nas.settings.run_directory import RunDirectory, run_directory
from nas.workers.storage_full import is_full
from search_spaces.architecture import Architecture, Convolution
from search_spaces.errors import UserError
from search_spaces.space import Space
from tests.support.searches import DIGITS, search_settings, shipped_space, tiny_space
from trainers.checkpoint import checkpoint_bytes, save_checkpoint
from trainers.data.images import MemoryImages
from trainers.folders import Directory
from trainers.loop import Training
from trainers.model import seeded_model
from trainers.recipe_files import full_training

RECIPE = full_training("digits")


@pytest.mark.parametrize(("ema_decay", "optimizer"), [(0.0, "sgd"), (0.99, "sgd"), (0.0, "adamw"), (0.99, "muon")])
def test_the_size_of_a_checkpoint_is_that_of_the_file(ema_decay: float, optimizer: str, tmp_path: Path) -> None:
    architecture = Architecture("convolution", 16, ((Convolution(),),) * 4)
    recipe = dataclasses.replace(RECIPE, epochs=1, batch_size=2, ema_decay=ema_decay, optimizer=optimizer)
    images = MemoryImages(
        torch.zeros(2, 1, 16, 16, dtype=torch.uint8), torch.arange(2), image_size=16, mean=(0.5,), std=(0.5,)
    )
    training = Training(seeded_model(architecture, DIGITS, 0), images, images, recipe, seed=0, device="cpu")
    list(training.epochs())
    name = save_checkpoint(Directory(tmp_path), 1, {"training": training.state_dict(), "results": []})
    size = (tmp_path / name).stat().st_size
    assert checkpoint_bytes(DIGITS.cost(architecture).params, recipe) == pytest.approx(size, rel=0.1)


def check(directory: RunDirectory, trials: int, space: Space | None = None, **settings: object) -> None:
    space = space or shipped_space("resnet_blocks")
    check_space(directory, space, DIGITS, RECIPE, search_settings(trials=trials, **settings))


def test_what_does_not_fit_is_refused_with_both_numbers(tmp_path: Path) -> None:
    directory = run_directory(str(tmp_path / "runs"), "one")
    check(directory, 1)
    with pytest.raises(UserError, match=r"has [\d.]+ GB free, and 1000000000 trials of about [\d,]+ parameters take"):
        check(directory, 10**9)
    # What ends a search earlier, and how many there are to train, counts as well.
    check(directory, 10**9, time_budget="2h")
    check(directory, 10**9, stagnation=20)
    check(directory, 10**9, space=tiny_space())
    assert list(tmp_path.iterdir()) == []


def test_trials_that_have_begun_have_their_space(tmp_path: Path) -> None:
    directory = run_directory(str(tmp_path), "one")
    for number in range(40):
        directory.checkpoints(number).write("epoch-000001.checkpoint", b"")
    check(directory, 40)
    # A network as wide as this fits no disk.
    space = dataclasses.replace(shipped_space(), width=(2.0**20,))
    check(directory, 40, space)
    with pytest.raises(UserError, match="41 trials"):
        check(directory, 41, space)


def test_a_full_disk_is_told_from_other_errors_however_it_is_wrapped() -> None:
    with pytest.raises(OSError) as full, open("/dev/full", "wb", buffering=0) as file:
        file.write(b"x")
    with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(sqlite3.OperationalError) as database:
        connection.execute("PRAGMA max_page_count = 1")
        connection.execute("CREATE TABLE a (b)")
    for error in (full.value, database.value):
        assert is_full(error)
        try:
            raise ValueError("while writing") from error
        except ValueError as wrapped:
            assert is_full(wrapped)
            assert is_full(RuntimeError(traceback.format_exc()))
    assert not is_full(FileNotFoundError(2, "No such file or directory"))
    assert not is_full(sqlite3.OperationalError("database is locked"))
