"""Files that were cut short or had a bit flipped: every one is detected, none is loaded as something else.

The fast tests take a sample of the places, the slow ones every byte.
"""

import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.ledger.contents import LedgerContents
from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.ledger.location import open_ledger, read_ledger
from nas.records.trial import Outcome, TrialRecord
from nas.settings.run_directory import run_directory
from search_spaces.architecture import Architecture, Convolution
from search_spaces.errors import UserError
from tests.support.bundles import SUMMARY, inference_cost, provenance
from tests.support.searches import DIGITS, epoch_result, search_header, tiny_space
from trainers.bundle.contents import Bundle
from trainers.bundle.document import read_bundle
from trainers.bundle.files import read_weights, write_bundle
from trainers.checkpoint import newest_sound_checkpoint, save_checkpoint
from trainers.data.config import DATA_DEFAULTS
from trainers.data.images import MemoryImages
from trainers.folders import Directory
from trainers.loop import Training
from trainers.model import seeded_model
from trainers.recipe_files import full_training

SMALLEST = Architecture("convolution", 1, ((Convolution(),),) * 4)
# Every so many bytes in the fast tests. A prime, so that fields at regular distances are met at other places.
STRIDE = 97

sampled_and_all = pytest.mark.parametrize("stride", [STRIDE, pytest.param(1, marks=pytest.mark.slow)])


def flipped(file: Path, places: list[int]) -> Iterator[int]:
    """Flips one bit of each of these bytes in turn, and back again."""
    content = file.read_bytes()
    for place in places:
        with file.open("r+b") as opened:
            opened.seek(place)
            opened.write(bytes([content[place] ^ 1 << random.Random(place).randrange(8)]))
        yield place
        with file.open("r+b") as opened:
            opened.seek(place)
            opened.write(content[place : place + 1])
    assert file.read_bytes() == content


def truncated(file: Path, stride: int) -> Iterator[int]:
    """Cuts the file shorter and shorter, down to nothing."""
    size = file.stat().st_size
    for length in [*range(size - 1, 0, -stride), 0]:
        with file.open("r+b") as opened:
            opened.truncate(length)
        yield length


def one_line(error: pytest.ExceptionInfo[UserError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


# A trial's checkpoint


def trial_state(epochs: int) -> dict[str, Any]:
    """What a trial keeps of a training of `epochs` epochs, as the worker writes it."""
    images = MemoryImages(
        torch.arange(8 * 64, dtype=torch.uint8).reshape(8, 1, 8, 8), torch.arange(8),
        image_size=8, mean=(0.5,), std=(0.5,),
    )  # fmt: skip
    recipe = replace(full_training("digits"), epochs=epochs, batch_size=8, warmup_epochs=0.0)
    training = Training(
        seeded_model(SMALLEST, replace(DIGITS, image_size=8), 0), images, images, recipe, seed=0, device="cpu"
    )
    results = [result.to_json() for result in training.epochs()]
    return {"training": training.state_dict(), "results": results}


@pytest.fixture(scope="module")
def states() -> list[dict[str, Any]]:
    return [trial_state(1), trial_state(2)]


def save_both(directory: Path, states: list[dict[str, Any]]) -> Path:
    for epoch, state in enumerate(states, start=1):
        newest = directory / save_checkpoint(Directory(directory), epoch, state)
    return newest


def assert_quarantined(newest: Path) -> None:
    """Puts a checkpoint back that was found to be damaged."""
    assert not newest.exists()
    newest.with_name(newest.name + ".corrupt").rename(newest)


@sampled_and_all
def test_no_part_of_a_checkpoint_is_loaded(stride: int, states: list[dict[str, Any]], tmp_path: Path) -> None:
    newest = tmp_path / save_checkpoint(Directory(tmp_path), 2, states[1])
    for length in truncated(newest, stride):
        assert newest_sound_checkpoint(Directory(tmp_path)) is None, length
        assert_quarantined(newest)


@sampled_and_all
def test_no_flipped_bit_of_a_checkpoint_is_loaded(stride: int, states: list[dict[str, Any]], tmp_path: Path) -> None:
    newest = tmp_path / save_checkpoint(Directory(tmp_path), 2, states[1])
    for place in flipped(newest, list(range(0, newest.stat().st_size, stride))):
        assert newest_sound_checkpoint(Directory(tmp_path)) is None, place
        assert_quarantined(newest)


def test_the_checkpoint_before_a_damaged_one_is_used(
    states: list[dict[str, Any]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    newest = save_both(tmp_path, states)
    for _ in truncated(newest, newest.stat().st_size // 9):
        caplog.clear()
        found = newest_sound_checkpoint(Directory(tmp_path))
        assert found is not None and found[0] == 1 and found[1]["results"] == states[0]["results"]
        torch.testing.assert_close(found[1]["training"]["model"], states[0]["training"]["model"], rtol=0, atol=0)
        assert len(caplog.messages) == 1 and "\n" not in caplog.messages[0]
        assert_quarantined(newest)


# A bundle


@sampled_and_all
def test_no_damaged_bundle_is_read(stride: int, tmp_path: Path) -> None:
    directory = tmp_path / "bundle"
    model = seeded_model(SMALLEST, SUMMARY, 0)
    bundle = Bundle(SMALLEST, full_training("digits"), DATA_DEFAULTS["digits"], SUMMARY, provenance())
    write_bundle(directory, bundle, model.state_dict())
    readers = {"bundle.json": read_bundle, "weights.safetensors": read_weights}
    for name, read in readers.items():
        file = directory / name
        content = file.read_bytes()
        for damage in (flipped(file, list(range(0, len(content), stride))), truncated(file, stride)):
            for place in damage:
                with pytest.raises(UserError) as caught:
                    read(directory)
                assert str(directory) in one_line(caught), place
        file.write_bytes(content)
    assert read_bundle(directory) == bundle


# A ledger


def small_ledger(path: Path) -> Ledger:
    """A search with a trial of every kind, and what one of them was measured to cost."""
    space = tiny_space()
    ledger = Ledger.create(ledger_url(path), "search", search_header(code_revision="with this"))
    rng = random.Random(0)
    outcomes: list[Outcome] = [
        "finished", "stopped", "diverged", "rejected", "duplicate", "held", "running", "finished",
    ]  # fmt: skip
    for outcome in outcomes:
        architecture = space.sample(rng)
        cost = DIGITS.cost(architecture)
        untrained = outcome in ("rejected", "duplicate")
        first: Outcome = outcome if untrained else "running"
        number = ledger.next_number
        reason = "it is known" if untrained else None
        record = TrialRecord(number, architecture, cost.flops, cost.params, number, first, reason=reason)
        ledger.register(record, space)
        for epoch in () if untrained else (1, 2):
            ledger.record_epoch(number, epoch_result(epoch, rng.random()))
        if outcome == "held":
            ledger.record_death(number)
            ledger.hold(number, 2)
        elif outcome != "running" and not untrained:
            ledger.end(number, outcome, reason=f"it is {outcome}")
    ledger.record_inference(0, inference_cost())
    return ledger


@pytest.fixture(scope="module")
def whole_ledger(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ledger]:
    file = tmp_path_factory.mktemp("whole") / "ledger.db"
    return file, small_ledger(file)


@pytest.fixture
def ledger_file(whole_ledger: tuple[Path, Ledger], tmp_path: Path) -> Path:
    return Path(shutil.copy(whole_ledger[0], tmp_path))


def contents(file: Path) -> tuple[object, ...]:
    ledger = Ledger.open(ledger_url(file), "search")
    return ledger.search_id, ledger.header, ledger.records


def test_a_ledger_is_read_as_it_was_written(whole_ledger: tuple[Path, Ledger]) -> None:
    file, ledger = whole_ledger
    assert contents(file) == (ledger.search_id, ledger.header, ledger.records)
    assert {record.outcome for record in ledger.records} >= {"finished", "held", "running", "duplicate", "diverged"}


# Changes every attribute of a ledger, more than is kept in memory, and dies before it is done.
KILLED_WRITER = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("PRAGMA cache_size = 1")
connection.execute("UPDATE trial_user_attributes SET value_json = value_json || ' '")
connection.execute("UPDATE trial_params SET distribution_json = distribution_json || ' '")
os.kill(os.getpid(), 9)
"""


def test_what_a_killed_driver_left_unfinished_is_rolled_back(whole_ledger: tuple[Path, Ledger], tmp_path: Path) -> None:
    directory = run_directory(str(tmp_path), "search")
    reads: list[Callable[[], LedgerContents]] = [
        lambda: read_ledger(directory, None),
        lambda: open_ledger(directory, None),
    ]
    for read in reads:
        directory.path.mkdir()
        content = Path(shutil.copy(whole_ledger[0], directory.ledger)).read_bytes()
        killed = subprocess.run([sys.executable, "-c", KILLED_WRITER, directory.ledger])
        assert killed.returncode == -signal.SIGKILL and directory.ledger.read_bytes() != content
        assert read().records == whole_ledger[1].records
        assert directory.ledger.read_bytes() == content
        shutil.rmtree(directory.path)


@sampled_and_all
def test_no_part_of_a_ledger_is_read(stride: int, ledger_file: Path) -> None:
    for length in truncated(ledger_file, stride):
        with pytest.raises(UserError, match="the ledger of search 'search' cannot be read: ") as caught:
            Ledger.open(ledger_url(ledger_file), "search")
        one_line(caught)
        assert ledger_file.stat().st_size == length


@pytest.mark.parametrize("count", [40, pytest.param(3000, marks=pytest.mark.slow)])
def test_a_ledger_with_a_flipped_bit_is_read_right_or_not_at_all(count: int, ledger_file: Path) -> None:
    whole = contents(ledger_file)
    content = ledger_file.read_bytes()
    # The places that hold something, and some of those that hold nothing.
    filled = [place for place, value in enumerate(content) if value]
    rng = random.Random(count)
    places = rng.sample(filled, count - count // 10) + rng.sample(range(len(content)), count // 10)
    refused = 0
    for place in flipped(ledger_file, places):
        try:
            assert contents(ledger_file) == whole, place
        except UserError as error:
            assert "\n" not in str(error), place
            refused += 1
    assert refused > count / 2
