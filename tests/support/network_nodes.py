"""Machines of a cluster, made of namespaces: each with its own network, mounts, processes and name, on one switch.

They share the file system of this machine, but for what is mounted in one alone, and can be cut off, frozen and
switched off. All of it is gone with the processes.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

SWITCH, SWITCH_ADDRESS = "switch", "10.77.0.1"
_NAMESPACE_OF_NETWORKS = 0x40000000
# As the kernel writes them.
_LISTENING, _LOOPBACK = "0A", ("0100007F", "00000000000000000000000001000000")
_KINDS = ("--mount", "--net", "--pid", "--ipc", "--uts")
# The first process of a machine reaps those whose parents have died, as every system does.
_FIRST_PROCESS = """
set -e
hostname "$1"
ip link set lo up
mount --bind "$2" /etc/hosts
mkdir -p /tmp/ray
mount -t tmpfs tmpfs /tmp/ray
mount -t tmpfs -o size=1g tmpfs /dev/shm
echo ready
sleep infinity &
wait
"""


@contextlib.contextmanager
def own_network() -> Iterator[None]:
    """A network of its own for this thread and what it starts, with a switch for machines. Skips where none can be."""
    if sys.platform != "linux" or os.geteuid() != 0 or not all(map(shutil.which, ("ip", "unshare", "nsenter"))):
        pytest.skip("needs Linux, root, ip, unshare and nsenter, to make namespaces")
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net", "rb") as before:
        if libc.unshare(_NAMESPACE_OF_NETWORKS):
            pytest.skip(f"needs the right to make a network namespace ({os.strerror(ctypes.get_errno())})")
        try:
            _ip("link", "set", "lo", "up")
            _ip("link", "add", SWITCH, "type", "bridge")
            _ip("addr", "add", f"{SWITCH_ADDRESS}/24", "dev", SWITCH)
            _ip("link", "set", SWITCH, "up")
            yield
        finally:
            assert libc.setns(before.fileno(), _NAMESPACE_OF_NETWORKS) == 0


class NetworkNode:
    """A machine on the switch, for as long as it is not switched off."""

    def __init__(self, number: int, scratch: Path) -> None:
        """`number`, from 2 to 99, makes its name and its address; its log goes into the directory `scratch`."""
        self.name, self.address = f"node{number}", f"10.77.0.{number}"
        self._cable = f"cable{number}"
        self._started: list[subprocess.Popen[bytes]] = []
        self.log = scratch / f"{self.name}.log"
        hosts = scratch / "hosts"
        hosts.write_text("".join(["127.0.0.1 localhost\n", *(f"10.77.0.{n} node{n}\n" for n in range(2, 100))]))
        first = ["bash", "-c", _FIRST_PROCESS, "bash", self.name, str(hosts)]
        with self.log.open("ab") as log:
            self._outside = subprocess.Popen(
                ["unshare", *_KINDS, "--fork", "--kill-child", "--mount-proc", *first],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        assert self._outside.stdout is not None
        with self._outside.stdout as output:
            assert output.readline() == b"ready\n", self.log.read_text(encoding="utf-8")
        (self._first,) = psutil.Process(self._outside.pid).children()
        _ip("link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", str(self._first.pid))
        self.connect()
        _ip("link", "set", self._cable, "up")
        self.run("ip", "addr", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")

    def inside(self, *command: str, directory: Path = Path("/")) -> list[str]:
        """The command that runs another on this machine."""
        enter = ["nsenter", "--target", str(self._first.pid), *_KINDS, "--", "env", f"--chdir={directory}"]
        return [*enter, *command]

    def run(self, *command: str) -> None:
        """Runs a command there to its end, which has to be a good one."""
        subprocess.run(self.inside(*command), check=True, timeout=300)

    def start(self, *command: str, environment: Mapping[str, str]) -> None:
        """Starts a command there, which ends with the machine."""
        with self.log.open("ab") as log:
            started = subprocess.Popen(
                self.inside(*command), env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
        self._started.append(started)

    def ports(self) -> list[int]:
        """The TCP ports on which anything there waits for others, but for what is that machine's alone."""
        found = set()
        for family in ("tcp", "tcp6"):
            table = Path(f"/proc/{self._first.pid}/net/{family}").read_text(encoding="ascii")
            for _, local, _, state, *_ in map(str.split, table.splitlines()[1:]):
                address, _, port = local.rpartition(":")
                if state == _LISTENING and address not in _LOOPBACK:
                    found.add(int(port, 16))
        return sorted(found)

    def disconnect(self) -> None:
        """Pulls the cable: what is sent is lost, and nobody is told."""
        _ip("link", "set", self._cable, "nomaster")

    def connect(self) -> None:
        """Plugs it in."""
        _ip("link", "set", self._cable, "master", SWITCH)

    def freeze(self) -> None:
        """Stops all that runs there, but for the first process."""
        while running := [each for each in self._processes() if not _is_frozen(each)]:
            for process in running:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGSTOP)
            time.sleep(0.05)

    def thaw(self) -> None:
        """Has it go on."""
        for process in self._processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)
        # What has entered from outside stops with its child.
        for started in self._started:
            started.send_signal(signal.SIGCONT)

    def _processes(self) -> list[psutil.Process]:
        """All but the first: those that were started from outside are no children of it."""
        namespace = os.readlink(f"/proc/{self._first.pid}/ns/pid")
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(OSError, psutil.NoSuchProcess):
                if process.pid != self._first.pid and os.readlink(f"/proc/{process.pid}/ns/pid") == namespace:
                    found.append(process)
        return found

    def hide(self, directory: Path) -> None:
        """Puts an empty file system in the place of a directory."""
        self.run("mount", "-t", "tmpfs", "tmpfs", str(directory))

    def replace(self, file: Path, by: Path) -> None:
        """Puts another file in the place of a file."""
        self.run("mount", "--bind", str(by), str(file))

    def show(self, path: Path) -> None:
        """What `hide` or `replace` has covered is seen again, whoever has it open."""
        self.run("umount", "--lazy", str(path))

    def switch_off(self) -> None:
        """As by a power cut: nobody is told."""
        self.disconnect()
        self.kill()

    def kill(self) -> None:
        """Kills all that runs there; the system closes its connections."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._first.kill()
        for started in self._started:
            started.send_signal(signal.SIGCONT)
            started.wait(120)
        self._outside.wait(120)


def _is_frozen(process: psutil.Process) -> bool:
    try:
        return process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return True


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, timeout=300)
