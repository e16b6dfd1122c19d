"""What cannot run on this machine is said by a plan, in a network namespace of its own where one can be made."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nas.search import main

PROJECT = Path(__file__).resolve().parents[3]
PLAN = ["--space", "resnet_stages", "data=digits", "--plan"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--cpus-per-trial", "100000"], "--cpus-per-trial is 100000: this machine has "),
        (["--processes-per-trial", "1000"], "--processes-per-trial is 1000: this machine has "),
        pytest.param(
            ["--dashboard"], "--dashboard needs the extra 'dashboard' (aiohttp_cors, opencensus, ",
            marks=pytest.mark.skipif(importlib.util.find_spec("aiohttp_cors") is not None, reason="it is installed"),
        ),
        pytest.param(
            ["--gpus-per-trial", "1"], "no GPU that can be seen",
            marks=pytest.mark.skipif(bool(list(Path("/dev").glob("nvidia*"))), reason="there is a GPU"),
        ),
    ],
)  # fmt: skip
def test_what_a_trial_takes_and_nobody_has(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PLAN, *flags]) == 2
    assert message in capsys.readouterr().err
    if "--gpus-per-trial" in flags:
        assert main([*PLAN, *flags, "--address", "auto"]) == 0


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("unshare") is None, reason="no network namespace can be made")
@pytest.mark.parametrize("setup", ["true", "ip link set lo up && ip addr del 127.0.0.1/8 dev lo"])
def test_a_loopback_that_is_missing(setup: str, tmp_path: Path) -> None:
    if setup != "true" and shutil.which("ip") is None:
        pytest.skip("there is no `ip`")
    command = f'{setup} && exec "$0" "$@"'
    done = subprocess.run(
        ["unshare", "-n", "sh", "-c", command, sys.executable, str(PROJECT / "nas/search.py"), *PLAN[:-1]],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    if "unshare failed" in done.stderr:
        pytest.skip("no network namespace can be made here")
    assert done.returncode == 2 and done.stderr.startswith("error: 127.0.0.1 cannot be reached on this machine")
    assert done.stderr.count("\n") == 1
