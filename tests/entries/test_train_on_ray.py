"""A full training on a real Ray of this machine, by two processes: as under torchrun, killed, and interrupted."""

import dataclasses
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import ray
import torch

from nas.driver.training_on_ray import verdict, what_ended
from nas.settings.cluster_settings import ClusterSettings
from nas.train_on_ray import main
from nas.workers.training_host import TrainingHost
from nas.workers.training_hosts import training_hosts
from search_spaces.errors import UserError
from search_spaces.exit_codes import INTERRUPTED, MISTAKE, SUCCESS, TERMINATED
from tests.support.bundles import provenance
from tests.support.present import present
from tests.support.tiny_training import DATA, RECIPE, TINY
from trainers.bundle.contents import Bundle
from trainers.bundle.files import read_weights, write_bundle
from trainers.data.datasets import check_data
from trainers.model import seeded_model
from trainers.stopping import EndedEarly

ROOT = Path(__file__).resolve().parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
SCRIPT = str(ROOT / "trainers" / "train.py")
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
ON_CPU = ("--device", "cpu")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("on-ray") / "knee"
    # Batch norm over both processes: they talk at each step.
    recipe = dataclasses.replace(RECIPE, batch_size=64, norm_batch=64, epochs=6)
    found = Bundle(TINY, recipe, DATA, check_data(DATA), provenance(trial=42))
    write_bundle(directory, found, seeded_model(TINY, found.data_summary, 7).state_dict())
    return directory


@pytest.fixture(scope="module")
def by_torchrun(bundle: Path) -> dict[str, torch.Tensor]:
    out = bundle.with_name("by-torchrun")
    command = [*TORCHRUN, SCRIPT, str(bundle), *ON_CPU, "--out", str(out)]
    subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, timeout=300)
    return read_weights(out / "bundle")


def started(bundle: Path, out: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, str(ROOT / "nas" / "train_on_ray.py"), str(bundle), "--processes", "2", *ON_CPU]
    return subprocess.Popen(
        [*command, "--out", str(out), "recipe.checkpoint_minutes=0"],
        env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for_the_second_epoch(launcher: "subprocess.Popen[str]", out: Path) -> list[psutil.Process]:
    """The processes that train, then."""
    while not list(out.glob("checkpoints/epoch-000001-step-*")):
        assert launcher.poll() is None, launcher.communicate()
        time.sleep(0.01)
    below = psutil.Process(launcher.pid).children(recursive=True)
    found = [process for process in below if any(word.endswith("trainers/train.py") for word in process.cmdline())]
    assert len(found) == 2
    return found


def assert_same_weights(out: Path, expected: dict[str, torch.Tensor]) -> None:
    found = read_weights(out / "bundle")
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["process", "Ray's process above it"])
def test_when_a_process_is_killed_all_go_on_to_what_torchrun_comes_to(
    bundle: Path, by_torchrun: dict[str, torch.Tensor], tmp_path: Path, killed: str
) -> None:
    out = tmp_path / "out"
    with started(bundle, out) as launcher:
        members = wait_for_the_second_epoch(launcher, out)
        (members[1] if killed == "process" else present(members[1].parent())).kill()
        words, errors = launcher.communicate(timeout=300)
    assert launcher.returncode == SUCCESS, errors
    assert re.search(r"warning: process [12] of 2 was killed: goes on from its checkpoint", errors)
    assert re.search(r"resumes  after epoch 1, and \d+ of \d+ steps", words)
    assert words.count("epoch 6/6") == 1 and f"bundle   {out / 'bundle'}" in words
    assert_same_weights(out, by_torchrun)
    assert not any(process.is_running() for process in members)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)])
def test_a_signal_checkpoints_and_the_command_goes_on(
    bundle: Path, by_torchrun: dict[str, torch.Tensor], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    out = tmp_path / "out"
    with started(bundle, out) as launcher:
        members = wait_for_the_second_epoch(launcher, out)
        launcher.send_signal(number)
        words, errors = launcher.communicate(timeout=300)
    assert launcher.returncode == code, errors
    [line] = [line for line in errors.splitlines() if "interrupted" in line]
    assert "; to go on: python " in line and f"{bundle} --processes 2 --device cpu" in line
    assert "epoch 6/6" not in words and not any(process.is_running() for process in members)
    # Under torchrun, too, and to the same weights.
    again = subprocess.run(
        [*TORCHRUN, SCRIPT, str(bundle), *ON_CPU, "--out", str(out)], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert "resumes  after epoch 1, and" in again.stdout
    assert_same_weights(out, by_torchrun)


def test_a_host_says_that_it_may_not_enter_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: path != str(tmp_path))
    assert TrainingHost().start([], {}, str(tmp_path)) == f"{socket.gethostname()} may not enter {str(tmp_path)!r}"


def test_a_host_runs_a_process_and_hears_it() -> None:
    host = TrainingHost()
    assert host.start([], {}, "/nowhere") == f"{socket.gethostname()} has no directory '/nowhere'"
    assert host.start(["--bundel"], {"RANK": "0"}, os.getcwd()) is None
    heard: list[tuple[int, str]] = []
    code = None
    while code is None:
        lines, code = host.look()
        heard += lines
        time.sleep(0.05)
    assert code == MISTAKE and [line for line in heard if line[0] == 2 and line[1].startswith("error: ")]
    # One that has ended hears nothing more.
    host.send(signal.SIGTERM)


def test_what_a_host_starts_hears_ctrl_c_though_ray_has_it_blocked() -> None:
    host, before = TrainingHost(), signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        assert host.start(["nowhere"], {}, os.getcwd()) is None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    host.send(signal.SIGINT)
    while (code := host.look()[1]) is None:
        time.sleep(0.05)
    # While Python starts, before it has a handler, or after; unheard, it is a mistake.
    assert code in (1, -signal.SIGINT, INTERRUPTED)


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ((0, 0), 0), ((1, -9), None), ((-9, -9), None), ((1, 1), 1), ((2, 2), 2), ((130, 130), 130), ((143, 1), 143),
        ((143, -9), 143),
    ],
)  # fmt: skip
def test_what_processes_end_with_says_what_becomes_of_the_training(codes: tuple[int, int], code: int | None) -> None:
    assert verdict(codes, requested=True) == code
    # Nobody asked for it here, as where Ray's process above one of them dies, or its machine is taken away.
    assert verdict(codes, requested=False) == (None if 143 in codes else code)


def test_what_ended_them_is_said() -> None:
    assert what_ended((143, -9)) == "process 2 of 2 was killed"
    assert what_ended((1, 143)) == "process 2 of 2 was told to end"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--processes is missing"),
        (["--processes", "0"], "--processes is 0: expected a whole number from 1 to 4,096"),
        (["--processes", "2", "--max-restarts", "-1"], "--max-restarts is -1"),
        (["--processes", "2", "--gpus-per-process", "0.5"], "--gpus-per-process is 0.5: expected 1, or 0 on CPUs"),
        (["--processes", "2", "--cpus-per-process", "0"], "--cpus-per-process is 0"),
        (["--processes", "2", "--address", "here"], "--address is 'here'"),
    ],
)
def test_a_mistake_is_named_before_ray_starts(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["bundle", *arguments]) == MISTAKE
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_room_that_is_not_there_is_said_and_room_that_is_taken_is_waited_for() -> None:
    """Until a signal comes; what was asked of Ray is taken back."""
    cluster = ClusterSettings(None, 0, 1)
    asked = iter((False, True))
    ray.init(address="local", num_cpus=1, include_dashboard=False)
    try:
        with (
            pytest.raises(UserError, match=r"is 2, each of 1 CPUs and 0 GPUs: this machine has room for 1\."),
            training_hosts(2, cluster, lambda: False),
        ):
            pass
        taken = ray.util.placement_group([{"CPU": 1}])
        assert taken.wait(30)
        with pytest.raises(EndedEarly), training_hosts(1, cluster, lambda: next(asked)):
            pass
        ray.util.remove_placement_group(taken)
        with training_hosts(1, cluster, lambda: False) as hosts:
            assert len(hosts) == 1
    finally:
        ray.shutdown()
