"""The batch script under a real Slurm: a search that is told of its time limit is requeued and comes to its end."""

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.entries.test_search import PROJECT, SMALL, summary
from tests.faults.searches import LIMIT_SECONDS, checkpoints, records
from tests.support.slurm import Slurm, slurm

SCRIPT = PROJECT / "cluster" / "slurm" / "search.sh"
NODES = 3
EPOCHS = 8


def test_slurm_is_to_tell_it_of_its_time_limit_and_may_requeue_it() -> None:
    directives = re.findall(r"(?m)^#SBATCH (\S+)$", SCRIPT.read_text(encoding="utf-8"))
    assert {"--signal=B:USR1@120", "--requeue", "--no-kill", "--open-mode=append"} <= set(directives)


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "message"),
    [
        (["one", "runs"], {}, 2, "error: not in a Slurm job: submit this script with sbatch."),
        (["one"], {"SLURM_JOB_ID": "1"}, 2, "error: expected NAME RUNS_DIR [flags of nas/search.py]."),
        (["one", "runs"], {"SLURM_JOB_ID": "1", "SLURM_SUBMIT_DIR": "/"}, 2, "error: no .venv in /"),
    ],
)
def test_mistakes_are_said_in_a_line(
    arguments: list[str], environment: dict[str, str], code: int, message: str, tmp_path: Path
) -> None:
    outer = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    done = subprocess.run(
        ["bash", SCRIPT, *arguments], cwd=tmp_path, env=outer | environment, capture_output=True, text=True
    )
    assert done.returncode == code and done.stdout == "" and list(tmp_path.iterdir()) == []
    assert done.stderr.startswith(message) and done.stderr.count("\n") == 1


@pytest.fixture
def running_slurm() -> Iterator[Slurm]:
    with slurm(NODES) as running:
        yield running


def wait_until(condition: Callable[[], object], running: Slurm, number: str, output: Path) -> None:
    """Waits, for longer where the machine has much to do, while the job has not failed."""
    left = 2.0 * LIMIT_SECONDS
    while not condition():
        state = running.job(number)["JobState"]
        assert state not in ("FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"), output.read_text(encoding="utf-8")
        assert left > 0, (running.job(number), output.read_text(encoding="utf-8"))
        time.sleep(1)
        left -= 1 / max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def command_lines() -> str:
    lines = []
    for process in psutil.process_iter():
        try:
            lines.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return "\n".join(lines)


@pytest.mark.cluster
def test_a_job_is_requeued_before_its_time_limit_and_its_search_goes_on(running_slurm: Slurm, tmp_path: Path) -> None:
    if not (PROJECT / ".venv" / "bin" / "ray").exists():
        pytest.skip("the batch script wants the environment that make makes")
    output = tmp_path / "job.out"
    number = running_slurm.submit(
        PROJECT, "--nodes=2", f"--output={output}", str(SCRIPT), "one", str(tmp_path / "runs"),
        "--space", "resnet_stages", "--trials", "3", *SMALL[:-1], f"training.epochs={EPOCHS}", "search.scheduler=none",
    )  # fmt: skip
    token = tmp_path / "runs" / f".ray-token-{number}"

    def trained_on(nodes: int) -> bool:
        begun = [path.parent for path in checkpoints(tmp_path, "one")]
        return len(set(begun)) >= nodes and len(begun) > nodes

    wait_until(lambda: trained_on(2), running_slurm, number, output)
    assert token.stat().st_mode & 0o777 == 0o600
    secret = token.read_text(encoding="ascii").strip()
    assert len(secret) == 64 and secret not in command_lines()

    # As Slurm does 120 s before the time limit.
    running_slurm.call("scancel", "--batch", "--signal=USR1", number)
    wait_until(lambda: running_slurm.job(number)["Restarts"] == "1", running_slurm, number, output)
    before = records(tmp_path, "one")
    assert any(record.epochs for record in before) and not all(len(record.epochs) == EPOCHS for record in before)
    assert {record.outcome for record in before} <= {"running", "held", "finished"}

    # Beside it on the same machine, with a mistake: its exit code is the search's, and no port is in its way.
    wrong_output = tmp_path / "wrong.out"
    wrong = running_slurm.submit(
        PROJECT, "--nodes=1", f"--output={wrong_output}", str(SCRIPT), "two", str(tmp_path / "runs"),
        "--space", "resnet_stage",
    )  # fmt: skip

    wait_until(lambda: running_slurm.job(wrong)["JobState"] == "FAILED", running_slurm, number, output)
    assert running_slurm.job(wrong)["ExitCode"] == "2:0"
    assert "Did you mean 'resnet_stages'" in wrong_output.read_text(encoding="utf-8")
    wait_until(lambda: running_slurm.job(number)["JobState"] == "COMPLETED", running_slurm, number, output)

    printed = output.read_text(encoding="utf-8")
    assert running_slurm.job(number)["ExitCode"] == "0:0" and running_slurm.job(number)["Restarts"] == "1"
    assert "the front:" in printed and secret not in printed and "Traceback" not in printed
    after = records(tmp_path, "one")
    for old, new in zip(before, after, strict=False):
        assert (new.architecture, new.seed) == (old.architecture, old.seed)
        assert new.epochs[: len(old.epochs)] == old.epochs
    trained = [record for record in after if record.trained]
    assert len(trained) == 3 and all(len(record.epochs) == EPOCHS for record in trained)
    assert summary(tmp_path, "one")["architectures_trained"] == 3

    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"one", "mlflow.db", "mlflow-artifacts"}
    left = [f"/tmp/ray-{job}-{name}" for job in (number, wrong) for name in ("n1", "n2", "n3")]
    assert [path for path in left if Path(path).exists() or path in command_lines()] == []
