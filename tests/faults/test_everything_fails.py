"""A search on one machine on which nothing can be trained any more: it stops, says why, and loses nothing."""

import shutil
from pathlib import Path

import pytest

from nas.settings.run_directory import run_directory
from tests.entries.test_search import PROJECT, run, summary
from tests.faults.searches import LIMIT_SECONDS, records, start_search, wait_for
from tests.support.images import make_images

pytestmark = pytest.mark.slow


def on_images(images: Path, trials: int, epochs: int) -> list[str]:
    return [
        "data=image_folder", f"data.root={images}", "data.image_size=16", "data.loader_workers=0",
        "training.batch_size=8", "--trials", str(trials), f"training.epochs={epochs}", "search.scheduler=none",
    ]  # fmt: skip


def tracebacks(directory: Path) -> dict[str, str]:
    errors = run_directory(str(directory / "runs"), "one").errors
    return {path.name: path.read_text(encoding="utf-8") for path in errors.glob("*.txt")}


def test_a_search_whose_images_vanish_stops_and_goes_on_with_all_its_trials_once_they_are_back(tmp_path: Path) -> None:
    images = make_images(tmp_path / "images", count=20)
    process = start_search(tmp_path, "one", *on_images(images, 6, 8))
    ledger = run_directory(str(tmp_path / "runs"), "one").ledger
    wait_for(lambda: ledger.exists() and any(record.epochs for record in records(tmp_path, "one")), process)
    images.rename(tmp_path / "away")
    _, error = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 1, error
    last = error.splitlines()[-1]
    assert last.startswith("error: nothing can be trained: 3 failures in a row, the last of trial "), error
    assert "there is no directory" in last or "images are gone" in last, error
    assert "nas/search.py --resume one" in last and "Traceback" not in error
    said = tracebacks(tmp_path)
    assert said and all("Traceback (most recent call last)" in text for text in said.values())
    before = records(tmp_path, "one")
    assert {record.outcome for record in before} <= {"running", "finished"} and not any(r.deaths for r in before)
    (tmp_path / "away").rename(images)
    resumed = run(tmp_path, "nas/search.py", "--resume", "one")
    assert resumed.returncode == 0, resumed.stderr
    assert summary(tmp_path, "one")["counts"]["finished"] == 6
    assert all(len(record.epochs) == 8 for record in records(tmp_path, "one") if record.trained)
    assert tracebacks(tmp_path) == said


def test_a_search_whose_every_training_is_an_error_stops_after_a_few_and_keeps_its_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that only workers use is broken."""
    images = make_images(tmp_path / "images", count=20)
    package = tmp_path / "packages" / "torchvision"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('half of it is missing')\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{package.parent}:{PROJECT}")
    process = start_search(tmp_path, "one", *on_images(images, 8, 1))
    _, error = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 1, error
    assert "3 failures in a row" in error and "RuntimeError: half of it is missing; none of them is counted" in error
    begun = records(tmp_path, "one")
    assert 3 <= len(begun) <= 5 and {record.outcome for record in begun} == {"running"}
    assert len(tracebacks(tmp_path)) >= 3
    shutil.rmtree(package.parent)
    resumed = run(tmp_path, "nas/search.py", "--resume", "one")
    assert resumed.returncode == 0, resumed.stderr
    assert summary(tmp_path, "one")["counts"]["finished"] == 8
