"""A private Slurm on loopback, for tests: its nodes are all this machine. They are skipped where there is none."""

import contextlib
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.mlflow_server import free_port

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol")
START_SECONDS = 60
# Requeued jobs wait for as long as a credential is valid.
CREDENTIAL_SECONDS = 5


@dataclass(frozen=True)
class Slurm:
    """A running Slurm of some nodes of one CPU each."""

    directory: Path

    @property
    def environment(self) -> dict[str, str]:
        sbin = ("/usr/sbin", "/sbin")
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_", "RAY_"))},
            "SLURM_CONF": str(self.directory / "slurm.conf"),
            "PATH": os.pathsep.join((os.environ["PATH"], *sbin)),
        }

    def call(self, *command: str, cwd: Path | None = None) -> str:
        """What one of Slurm's commands prints."""
        done = subprocess.run(
            command, env=self.environment, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout.strip()

    def submit(self, checkout: Path, *arguments: str) -> str:
        """Submits a script in a directory; the number of the job."""
        return self.call("sbatch", "--parsable", *arguments, cwd=checkout)

    def job(self, number: str) -> dict[str, str]:
        """What Slurm says of a job."""
        return dict(re.findall(r"(\w+)=(\S*)", self.call("scontrol", "show", "job", number)))


@contextlib.contextmanager
def slurm(nodes: int) -> Iterator[Slurm]:
    """A Slurm of so many nodes, for as long as the context lasts; all that runs in it ends with it."""
    search_path = os.pathsep.join((os.environ["PATH"], "/usr/sbin", "/sbin"))
    missing = [name for name in PROGRAMS if shutil.which(name, path=search_path) is None]
    if missing:
        pytest.skip(f"no Slurm here ({', '.join(missing)} missing): make slurm")
    if os.geteuid() != 0:
        pytest.skip("a Slurm of one's own needs root")
    # A short path, and one that munge trusts: in no directory that others may write to.
    directory = Path(tempfile.mkdtemp(prefix="slurm-", dir="/run"))
    directory.chmod(0o711)
    running = Slurm(directory)
    names = [f"n{place}" for place in range(1, nodes + 1)]
    daemons: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> None:
        with (directory / f"{Path(command[0]).name}.out").open("ab") as output:
            daemons.append(
                subprocess.Popen(
                    command, env=running.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
                )
            )

    try:
        _write_files(directory, names)
        start(
            "munged", "--foreground", f"--socket={directory}/munge", f"--key-file={directory}/munge.key",
            f"--log-file={directory}/munge.log", f"--pid-file={directory}/munge.pid", f"--seed-file={directory}/seed",
        )  # fmt: skip
        _wait_for((directory / "munge").exists, directory)
        start("slurmctld", "-D", "-f", str(directory / "slurm.conf"))
        for name in names:
            start("slurmd", "-D", "-N", name, "-f", str(directory / "slurm.conf"))

        def ready() -> bool:
            done = subprocess.run(
                ["sinfo", "--noheader", "--format=%D %t"], env=running.environment, capture_output=True, text=True
            )
            return done.stdout.strip() == f"{nodes} idle"

        _wait_for(ready, directory)
        yield running
    finally:
        with contextlib.suppress(AssertionError, OSError, subprocess.SubprocessError):
            running.call("scancel", "--user=root")
            _wait_for(lambda: running.call("squeue", "--noheader") == "", directory)
        for daemon in reversed(daemons):
            daemon.terminate()
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        shutil.rmtree(directory)


def _wait_for(condition: Callable[[], bool], directory: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            logs = [path.read_text(encoding="utf-8", errors="replace")[-1500:] for path in directory.glob("*.out")]
            raise AssertionError("\n".join(logs))
        time.sleep(0.3)


def _write_files(directory: Path, names: list[str]) -> None:
    key = directory / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    (directory / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n", encoding="utf-8")
    nodes = "\n".join(
        f"NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={free_port()} CPUs=1 State=UNKNOWN"
        for name in names
    )
    (directory / "slurm.conf").write_text(
        f"""\
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={free_port()}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={directory}/munge,cred_expire={CREDENTIAL_SECONDS}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool.%n
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/slurmd.%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,batch_sched_delay=0
MailProg=/bin/true
ReturnToService=2
KillWait=30
MinJobAge=7200
{nodes}
PartitionName=all Nodes={",".join(names)} Default=YES MaxTime=INFINITE State=UP
""",
        encoding="utf-8",
    )
