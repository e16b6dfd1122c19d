"""Full trainings that are cut off at any step: checkpointed by the signal, and gone on with to the same weights."""

import dataclasses
import fcntl
import os
import pty
import random
import resource
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
import torch

from tests.support.bundles import provenance
from tests.support.shards import write_shards
from tests.support.tiny_training import DATA, RECIPE, TINY
from tests.support.without_slow_steps import without_slow_steps
from trainers.bundle.contents import Bundle
from trainers.bundle.files import read_weights, write_bundle
from trainers.data.config import DataConfig
from trainers.data.datasets import check_data
from trainers.model import seeded_model
from trainers.train import main

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = str(ROOT / "trainers" / "train.py")
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
# 16 steps an epoch.
STEPS = 16
SETTINGS = ("--device", "cpu")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("interrupted") / "knee"
    # Batch norm of 16 images at a time: on two processes the weights are equal to the bit, too.
    recipe = dataclasses.replace(
        RECIPE, batch_size=64, norm_batch=16, epochs=3,
        policy="rand_augment", random_erasing=0.3, mixup=0.2, cutmix=1.0, repeats=2,
    )  # fmt: skip
    found = Bundle(TINY, recipe, DATA, check_data(DATA), provenance(trial=42))
    write_bundle(directory, found, seeded_model(TINY, found.data_summary, 7).state_dict())
    return directory


@pytest.fixture(scope="module")
def undisturbed(bundle: Path) -> Path:
    out = bundle.with_name("undisturbed")
    assert main([str(bundle), *SETTINGS, "--out", str(out)]) == 0
    return out


def command(bundle: Path, out: Path) -> list[str]:
    return [SCRIPT, str(bundle), *SETTINGS, "--out", str(out), "recipe.checkpoint_minutes=0"]


def started(launcher: list[str], bundle: Path, out: Path) -> "subprocess.Popen[str]":
    """A training that checkpoints each step, by which it is seen how far it is."""
    pipe = subprocess.PIPE
    return subprocess.Popen([*launcher, *command(bundle, out)], env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True)


def wait_for_a_step(process: "subprocess.Popen[str]", out: Path, what: object) -> None:
    """Until some step of the second epoch, by chance."""
    step = random.Random(f"{what} {os.environ.get('NAS_KILLS_SEED', '0')}").randint(1, STEPS - 2)
    while newest_name(out) < f"epoch-000001-step-{step:09d}":
        assert process.poll() is None
        time.sleep(0.005)


def newest_name(out: Path) -> str:
    directory = out / "checkpoints"
    return max((path.stem for path in directory.glob("epoch-*")), default="") if directory.exists() else ""


def workers_of(process: "subprocess.Popen[str]") -> list[int]:
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="utf-8")
    return [int(number) for number in listed.split()]


def assert_same_weights(one: Path, other: Path) -> None:
    first, second = (read_weights(out / "bundle") for out in (one, other))
    assert all(torch.equal(first[name], second[name]) for name in first)


def go_on(bundle: Path, out: Path, *more: str) -> None:
    assert main([str(bundle), *SETTINGS, "--out", str(out), *more]) == 0


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 143),
        # The others are handled alike; test_train.py has SIGINT and SIGKILL at an epoch's end.
        pytest.param(signal.SIGUSR1, 143, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, -9, marks=pytest.mark.slow),
    ],
)
def test_a_signal_at_any_step_changes_nothing_of_the_weights(
    bundle: Path,
    undisturbed: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    code: int,
) -> None:
    out = tmp_path / "out"
    with started([sys.executable], bundle, out) as process:
        wait_for_a_step(process, out, number)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    if number != signal.SIGKILL:
        assert without_slow_steps(errors) == [f"interrupted; to go on: python {' '.join(command(bundle, out))}"]
    assert "step" in newest_name(out)
    go_on(bundle, out)
    assert "resumes  after epoch 1, and" in capsys.readouterr().out
    assert_same_weights(undisturbed, out)


def test_a_terminal_that_is_closed_ends_it_checkpointed(bundle: Path, tmp_path: Path) -> None:
    out, (ours, its) = tmp_path / "out", pty.openpty()

    def lead_the_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        # Tests that run under nohup have SIGHUP ignored, and so would what they start.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    with subprocess.Popen(
        [sys.executable, *command(bundle, out)], env=ENVIRONMENT, stdin=its, stdout=its, stderr=its,
        start_new_session=True, preexec_fn=lead_the_terminal, text=True,
    ) as process:  # fmt: skip
        os.close(its)
        wait_for_a_step(process, out, "terminal")
        os.close(ours)
        # What it says of its end nobody can read.
        assert process.wait(timeout=60) == 129
    assert "step" in newest_name(out)


@pytest.fixture(scope="module")
def of_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose images lie in tar files: of 80 images 64 to train on, which loader processes read."""
    root = tmp_path_factory.mktemp("shards")
    data = DataConfig(
        "tar_shards", str(write_shards(root / "images", "train", 4, each=20)),
        image_size=16, validation_fraction=0.2, loader_workers=2,
    )  # fmt: skip
    recipe = dataclasses.replace(RECIPE, batch_size=64 // STEPS, epochs=3, augment="resized_crop")
    write_bundle(root / "knee", Bundle(TINY, recipe, data, check_data(data), provenance(trial=42)), None)
    assert main([str(root / "knee"), *SETTINGS, "--out", str(root / "undisturbed")]) == 0
    return root / "knee"


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_training_on_shards_goes_on_to_the_undisturbed_weights(
    of_shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: signal.Signals, code: int
) -> None:
    out = tmp_path / "out"
    with started([sys.executable], of_shards, out) as process:
        wait_for_a_step(process, out, f"shards {number}")
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == code, errors
    assert "step" in newest_name(out)
    go_on(of_shards, out)
    assert "resumes  after epoch 1, and" in capsys.readouterr().out
    assert_same_weights(of_shards.with_name("undisturbed"), out)


@pytest.mark.slow
@pytest.mark.parametrize("signalled", ["torchrun", "a worker"])
def test_processes_of_torchrun_stop_together(
    bundle: Path, undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], signalled: str
) -> None:
    """What goes on is one process: another number of them."""
    out = tmp_path / "out"
    with started(TORCHRUN, bundle, out) as process:
        wait_for_a_step(process, out, signalled)
        if signalled == "torchrun":
            process.send_signal(signal.SIGTERM)
        else:
            os.kill(workers_of(process)[-1], signal.SIGUSR1)
        _, errors = process.communicate(timeout=90)
    assert f"interrupted; to go on: torchrun --nproc-per-node 2 {SCRIPT}" in errors
    assert "Traceback" not in errors.partition("interrupted; to go on")[0]
    assert "step" in newest_name(out)
    go_on(bundle, out)
    assert "steps\n         on 1 process, before on 2: the same batches" in capsys.readouterr().out
    assert_same_weights(undisturbed, out)


@pytest.mark.slow
def test_processes_whose_torchrun_has_died_stop_and_are_not_left_behind(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with started(TORCHRUN, bundle, out) as process:
        wait_for_a_step(process, out, "torchrun")
        workers = workers_of(process)
        process.kill()
        _, errors = process.communicate(timeout=60)
    assert workers and "interrupted; to go on" in errors
    assert "step" in newest_name(out)


@pytest.mark.slow
def test_torchrun_starts_again_what_was_killed(bundle: Path, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with started([*TORCHRUN, "--max-restarts", "1"], bundle, out) as process:
        wait_for_a_step(process, out, "torchrun")
        os.kill(workers_of(process)[-1], signal.SIGKILL)
        words, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "resumes  after epoch" in words
    assert_same_weights(undisturbed, out)


def test_checkpoints_within_an_epoch_come_by_time(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    go_on(bundle, out, "recipe.epochs=1", "recipe.checkpoint_minutes=0")
    names = sorted(path.name for path in (out / "checkpoints").iterdir())
    # The last step of the epoch, and the epoch.
    assert names == ["epoch-000000-step-000000016.checkpoint", "epoch-000001.checkpoint"]


def test_a_full_disk_names_the_file_and_the_command(bundle: Path, tmp_path: Path) -> None:
    """A limit on the size of a file stands for it, set once the training has begun: no checkpoint fits any more."""
    out = tmp_path / "out"
    with started([sys.executable], bundle, out) as process:
        wait_for_a_step(process, out, "full disk")
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (10_000, 10_000))
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    [said] = without_slow_steps(errors)
    assert str(out / "checkpoints") in said and f"to go on: python {SCRIPT} {bundle}" in said


def test_a_finished_training_is_not_made_longer_by_accident(
    bundle: Path, undisturbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["recipe.batch_size=64", "recipe.epochs=20", "--device", "cpu"]
    assert main([str(bundle), *settings, "--out", str(undisturbed)]) == 2
    error = capsys.readouterr().err
    assert "recipe.epochs is 3 there and 20 here" in error and "begins anew: name another directory" in error
