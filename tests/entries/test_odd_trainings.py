"""Trainings on an odd day: parts of them are gone, damaged, or not what they were."""

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests.support.bundles import provenance
from tests.support.tiny_training import DATA, RECIPE, TINY
from trainers.bundle.contents import Bundle
from trainers.bundle.files import read_weights, write_bundle
from trainers.data.datasets import check_data
from trainers.full import beginning
from trainers.full.needs import training_needs
from trainers.model import seeded_model
from trainers.train import main


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("odd") / "knee"
    summary = check_data(DATA)
    found = Bundle(TINY, dataclasses.replace(RECIPE, epochs=2), DATA, summary, provenance(trial=42))
    write_bundle(directory, found.described(), seeded_model(TINY, summary, 7).state_dict())
    return directory


def train(bundle: Path, out: Path, *more: str) -> int:
    return main([str(bundle), "--device", "cpu", "--out", str(out), *more])


@pytest.fixture(scope="module")
def trained(bundle: Path) -> Path:
    out = bundle.with_name("trained")
    assert train(bundle, out) == 0
    return out


@pytest.fixture
def out(trained: Path, tmp_path: Path) -> Path:
    """A copy of what was trained, for a test alone."""
    return Path(shutil.copytree(trained, tmp_path / "out"))


def newest(out: Path) -> Path:
    return max((out / "checkpoints").iterdir())


def test_a_result_without_what_it_is_of_is_no_end(
    bundle: Path, trained: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(out / "bundle")
    assert train(bundle, out) == 2
    error = capsys.readouterr().err
    assert f"'{out}/result.json' is there and '{out}/bundle' is not: bring it back, or delete" in error
    assert error.count("\n") == 1
    # What it says is so.
    (out / "result.json").unlink()
    assert train(bundle, out) == 0
    assert "epoch 1/2" not in capsys.readouterr().out
    first, second = (read_weights(each / "bundle") for each in (trained, out))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff"])
def test_a_damaged_result_is_named(bundle: Path, out: Path, capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    (out / "result.json").write_bytes(content)
    assert train(bundle, out) == 2
    error = capsys.readouterr().err
    assert f"'{out}/result.json' is damaged: bring it back, or delete" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{", "settings.json', which says what is trained there, is missing or damaged: bring it back, or name"),
        ("[]", "settings.json', which says what is trained there, is missing or damaged: bring it back, or name"),
        ('{"format": "full-training/2"}', "holds no full training: name another directory with --out."),
        ('{"recipe": {"epochs": 2}}', "holds no full training: name another directory with --out."),
    ],
)
def test_damaged_settings_are_no_training(
    bundle: Path, out: Path, capsys: pytest.CaptureFixture[str], settings: str, message: str
) -> None:
    (out / "settings.json").write_text(settings, encoding="utf-8")
    assert train(bundle, out) == 2
    assert message in capsys.readouterr().err


def test_a_deleted_or_torn_checkpoint_costs_what_came_after_the_one_before(
    bundle: Path, trained: Path, out: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for damage in (Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:1000])):
        (out / "result.json").unlink()
        shutil.rmtree(out / "bundle")
        damage(newest(out))
        assert train(bundle, out) == 0
        assert "resumes  after epoch 1\n" in capsys.readouterr().out
        first, second = (read_weights(each / "bundle") for each in (trained, out))
        assert all(torch.equal(first[name], second[name]) for name in first)
        (out / "checkpoints" / "epoch-000002.checkpoint.corrupt").unlink(missing_ok=True)
    assert "epoch-000002.checkpoint is damaged" in caplog.text


def test_that_it_begins_anew_without_any_checkpoint_is_said(
    bundle: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (out / "result.json").unlink()
    shutil.rmtree(out / "checkpoints")
    assert train(bundle, out) == 0
    said = capsys.readouterr().out
    assert "anew     no sound checkpoint is left of the epochs that were trained here before\nepoch 1/2" in said


def test_weights_to_start_from_are_looked_at_before_anything_is_written(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking = Path(shutil.copytree(bundle, tmp_path / "lacking"))
    for damage, message in (
        (lambda file: file.write_bytes(b"half"), "weights.safetensors' is damaged"),
        (Path.unlink, "is no bundle: weights.safetensors: No such file or directory."),
    ):
        damage(lacking / "weights.safetensors")
        assert train(lacking, tmp_path / "tuned", "--init", "weights") == 2
        written, error = capsys.readouterr()
        assert written == "" and message in error and not (tmp_path / "tuned").exists()


def test_what_takes_long_at_the_beginning_is_said(
    bundle: Path, trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beginning, "LOADING_SECONDS", 0.0)
    assert train(bundle, trained) == 0
    assert capsys.readouterr().err == "loading PyTorch and looking at the images …\n"
    monkeypatch.setenv("RANK", "1")
    beginning.begun(lambda: None, lambda prepared, signals: 0)
    assert capsys.readouterr().err == ""


def test_what_cannot_be_written_is_named_without_a_number(
    bundle: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (out / "result.json").unlink()
    shutil.rmtree(out / "checkpoints")
    (out / "checkpoints").write_bytes(b"")
    assert train(bundle, out) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: File exists: '{out}/checkpoints'; once that is mended, to go on: ")


def test_more_processes_that_read_images_take_more() -> None:
    few, many = training_needs(0), training_needs(8)
    assert many.open_files > few.open_files and many.threads - few.threads >= 2 * 8
    assert json.dumps(dataclasses.asdict(many))


def test_what_a_training_compiles_first_takes_a_large_file() -> None:
    assert training_needs(0, is_compiled=True).file_bytes > 156_000_000 > 10 * training_needs(0).file_bytes


@pytest.mark.parametrize(("limit", "code"), [(9_000, 2), (10_000, 0)])
def test_a_limit_on_the_size_of_files_is_compared_with_what_is_written(
    bundle: Path, tmp_path: Path, limit: int, code: int
) -> None:
    words = ["bash", "-c", f'ulimit -f {limit}; exec "$@"', "bash", sys.executable, "trainers/train.py", str(bundle)]
    done = subprocess.run(
        [*words, "recipe.epochs=1", "--device", "cpu", "--out", str(tmp_path / "out")],
        capture_output=True, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    if code:
        assert "files of 9.22 MB are allowed at most, and this takes one of 10 MB" in done.stderr
    else:
        sizes = [path.stat().st_size for path in (tmp_path / "out").rglob("*")]
        assert sizes and max(sizes) < 1024 * limit


def test_a_disk_without_room_for_a_checkpoint_is_said_before_anything_is_written(
    bundle: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = shutil.disk_usage
    full = {str(tmp_path), str(trained)}
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000) if str(path) in full else elsewhere(path)
    )
    assert train(bundle, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert f"'{tmp_path}/out' has 0.00 MB free, and a checkpoint takes" in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())
    # What has ended writes nothing any more.
    assert train(bundle, trained) == 0


@pytest.fixture
def read_only(out: Path) -> Iterator[Path]:
    """The same as `out` on a file system that takes nothing."""
    mounted = subprocess.run(["mount", "--bind", "-o", "ro", out, out], check=False, capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("nothing can be mounted here")
    yield out
    subprocess.run(["umount", out], check=True)


@pytest.mark.parametrize("flags", [["--longer", "recipe.epochs=3"], ["--corruptions"], ["--program"]])
def test_what_cannot_be_added_to_is_a_mistake_before_any_work(
    bundle: Path, read_only: Path, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    assert train(bundle, read_only, *flags) == 2
    error = capsys.readouterr().err
    assert error == f"error: --out '{read_only}': '{read_only}' is not writable (Read-only file system).\n"
    assert train(bundle, read_only) == 0
