"""One training on any number of processes and passes: the same batches, and the same weights.

How equal: with groups of batch norm (`recipe.norm_batch`) on CPUs of equal threads, weights and accuracies to the bit
and losses of evaluations to 1e-6; with batch norm over the whole batch of several processes, but for rounding, which a
training amplifies: 5e-3 of the loss after an epoch here.
"""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.bundles import provenance
from tests.support.tiny_training import DATA, RECIPE, TINY
from trainers.bundle.contents import Bundle
from trainers.bundle.files import read_weights, write_bundle
from trainers.data.datasets import check_data
from trainers.model import seeded_model
from trainers.train import main

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
# 60 images in groups of 15, so that one in each is mixed with one of the next group, which may be another process's.
GROUPED = dataclasses.replace(
    RECIPE, epochs=2, batch_size=60, norm_batch=15,
    policy="trivial_augment", random_erasing=0.3, mixup=0.2, cutmix=1.0, repeats=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("equal") / "knee"
    found = Bundle(TINY, GROUPED, DATA, check_data(DATA), provenance(trial=42))
    write_bundle(directory, found, seeded_model(TINY, found.data_summary, 7).state_dict())
    return directory


@pytest.fixture(scope="module")
def alone(bundle: Path) -> Path:
    out = bundle.with_name("alone")
    assert main([str(bundle), "--out", str(out)]) == 0
    return out


def on_processes(count: int, *arguments: object) -> str:
    """What a training under torchrun printed."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count), "--standalone"]
    command = [*torchrun, str(ROOT / "trainers" / "train.py"), *map(str, arguments), "--device", "cpu"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return done.stdout


def result_of(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "result.json").read_bytes())
    return found


def assert_equal(one: Path, other: Path) -> None:
    first, second = (read_weights(out / "bundle") for out in (one, other))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    results = result_of(one), result_of(other)
    for name in ("test_accuracy", "val_accuracy", "epochs"):
        assert results[0][name] == results[1][name]
    assert results[0]["test_loss"] == pytest.approx(results[1]["test_loss"], rel=1e-6)
    measured = [result["measured"] for result in results]
    assert measured[0]["top5_accuracy"] == measured[1]["top5_accuracy"]
    assert measured[0]["calibration_error"] == pytest.approx(measured[1]["calibration_error"], abs=1e-6)
    assert (one / "confusion.csv").read_bytes() == (other / "confusion.csv").read_bytes()


@pytest.mark.parametrize(("count", "extras"), [(2, ()), pytest.param(4, ("--corruptions",), marks=pytest.mark.slow)])
def test_any_number_of_processes_ends_with_the_same_weights(
    bundle: Path, alone: Path, tmp_path: Path, count: int, extras: tuple[str, ...]
) -> None:
    words = on_processes(count, bundle, "--out", tmp_path / "out", *extras)
    passes = {2: "2 passes × ", 4: ""}[count]
    assert f"batch    {count} processes × {passes}15 images, batch norm over 15\n" in words
    assert_equal(alone, tmp_path / "out")
    if extras:
        # How robust it is, too, by noise that follows from the images.
        assert main([str(bundle), "--out", str(alone), *extras]) == 0
        assert result_of(alone)["robustness"] == result_of(tmp_path / "out")["robustness"]


@pytest.mark.parametrize("micro_batch", ["30", pytest.param("60", marks=pytest.mark.slow)])
def test_any_number_of_passes_ends_with_the_same_weights(
    bundle: Path, alone: Path, tmp_path: Path, micro_batch: str
) -> None:
    assert main([str(bundle), "--out", str(tmp_path / "out"), f"recipe.micro_batch={micro_batch}"]) == 0
    assert_equal(alone, tmp_path / "out")


@pytest.mark.slow
def test_a_training_goes_on_with_another_number_of_processes_and_says_so(
    bundle: Path, alone: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert main([str(bundle), "--out", str(out)]) == 0
    # As it was after the first epoch.
    (out / "result.json").unlink()
    for left in (out / "bundle").iterdir():
        left.unlink()
    (out / "bundle").rmdir()
    (out / "checkpoints" / "epoch-000002.checkpoint").unlink()
    words = on_processes(2, bundle, "--out", out)
    assert "resumes  after epoch 1\n         on 2 processes, before on 1: the same batches" in words
    assert_equal(alone, out)


@pytest.mark.slow
def test_batch_norm_sees_the_whole_batch_of_several_processes(bundle: Path, tmp_path: Path) -> None:
    settings = ("recipe.norm_batch=60", "recipe.epochs=1", "recipe.warmup_epochs=0.0")
    assert main([str(bundle), *settings, "--out", str(tmp_path / "one")]) == 0
    words = on_processes(2, bundle, *settings, "--out", tmp_path / "two")
    assert "batch    2 processes × 30 images, batch norm over all\n" in words
    losses = [result_of(tmp_path / name)["test_loss"] for name in ("one", "two")]
    assert losses[1] == pytest.approx(losses[0], rel=5e-3)


def test_passes_that_cannot_hold_the_groups_are_refused(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["recipe.norm_batch=60", "recipe.micro_batch=30"]
    assert main([str(bundle), *settings, "--out", str(tmp_path / "out")]) == 2
    assert "recipe.norm_batch is 60: 1 processes that have 30 images each" in capsys.readouterr().err
