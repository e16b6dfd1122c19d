"""Searches that meet a damaged checkpoint or images that cannot be read."""

import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.entries.test_search import SMALL, run, start
from tests.faults.searches import LIMIT_SECONDS, checkpoints, records, start_search, wait_for
from tests.support.images import in_folders
from trainers.data.config import DATA_DEFAULTS
from trainers.data.datasets import load_train_validation

pytestmark = pytest.mark.slow


def test_a_resumed_search_says_which_checkpoint_is_damaged_and_uses_the_one_before(tmp_path: Path) -> None:
    # So many that none of the two has ended when the signal is heard.
    process = start_search(tmp_path, "one", "--trials", "2", "training.epochs=20", "search.scheduler=none")
    wait_for(lambda: [path for path in checkpoints(tmp_path, "one") if path.name > "epoch-000002"], process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    trained = {record.number: len(record.epochs) for record in records(tmp_path, "one")}
    newest = max(checkpoints(tmp_path, "one"), key=lambda path: path.stat().st_mtime_ns)
    newest.write_bytes(newest.read_bytes()[:-1])
    done = run(tmp_path, "nas/search.py", "--resume", "one")
    assert done.returncode == 0, done.stderr
    assert max(trained.values()) < 20
    said = [line for line in done.stderr.splitlines() if newest.name in line]
    assert len(said) == 1 and f"is damaged: renamed to {newest.name}.corrupt" in said[0]
    ended = records(tmp_path, "one")
    assert all(record.outcome == "finished" and len(record.epochs) == 20 for record in ended if record.trained)
    assert all(len(record.epochs) >= trained.get(record.number, 0) for record in ended)


def test_a_search_ends_with_the_list_of_images_that_cannot_be_read(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for index in range(20):
            pixels = generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{index:02d}.png")
    arguments = [
        "--space", "resnet_stages", "--name", "one", "--trials", "2", *SMALL, "data=image_folder",
        f"data.root={tmp_path / 'images'}", "data.image_size=16", "data.loader_workers=0", "training.batch_size=8",
    ]  # fmt: skip
    config = replace(DATA_DEFAULTS["image_folder"], root=str(tmp_path / "images"), image_size=16)
    train = in_folders(load_train_validation(config)[0])
    broken = Path(train.files_I[-1].decode())
    broken.write_bytes(broken.read_bytes()[:-60])
    process = start(tmp_path, "nas/search.py", *arguments)
    _, error = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 2, error
    assert error.count("\n") == 1 and f"train split: 1 of {len(train)} images cannot be read, none may be: " in error
    assert str(broken) in error
    assert {record.outcome for record in records(tmp_path, "one")} == {"running"}
    Image.new("RGB", (16, 16)).save(broken)
    done = run(tmp_path, "nas/search.py", "--resume", "one")
    assert done.returncode == 0, done.stderr
    assert [record.outcome for record in records(tmp_path, "one")].count("finished") == 2
