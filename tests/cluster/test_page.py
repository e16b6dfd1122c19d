"""What cluster/README.md says, done on two machines that have never seen a cluster, and what their ports answer.

The commands are taken from the page. They are changed in what a reader changes: addresses and directories.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from nas.ledger.location import read_ledger
from nas.settings.run_directory import run_directory
from tests.faults.searches import output_of, wait_for
from tests.project.rooms import PROJECT
from tests.support.images import make_images
from tests.support.network_nodes import SWITCH_ADDRESS, NetworkNode, own_network
from tests.support.present import present

pytestmark = pytest.mark.cluster

NAME, LIMIT_SECONDS = "page", 600
# A short search, on CPUs; so long that it is still there when the ports are tried.
SHORT = (
    f"--name {NAME} --trials 6 space.depth=[14] space.width=[0.125] space.stages.spatial_extent=[3] "
    "training.epochs=9 training.batch_size=8 data.image_size=16 data.loader_workers=0"
)
# A method of each of Ray's services that answers calls, by whoever has the token.
METHODS = (
    "NodeInfoGcsService/GetAllNodeInfo", "NodeManagerService/GetNodeStats", "ObjectManagerService/Pull",
    "CoreWorkerService/GetCoreWorkerStats",
)  # fmt: skip
# gRPC's statuses: UNIMPLEMENTED where a port has another service, and UNAUTHENTICATED.
UNIMPLEMENTED, UNAUTHENTICATED = 12, 16


def commands(heading: str) -> list[str]:
    """The blocks of commands below a heading of the page, up to the next heading."""
    page = (PROJECT / "cluster/README.md").read_text(encoding="utf-8")
    section = re.split(r"(?m)^#+ .*$", page.split(f"## {heading}\n", 1)[1])[0]
    return [re.sub(r"(?m)^    ", "", block) for block in re.findall(r"(?:^    .*\n)+", section, re.MULTILINE)]


class Machines:
    """Two machines with a home each, on which a reader types what the page says."""

    def __init__(self, scratch: Path) -> None:
        self.runs, self.images = scratch / "shared" / "runs", make_images(scratch / "images", count=120)
        self.head, self.other = self._machine(2, scratch), self._machine(3, scratch)
        self._homes = {node.name: scratch / f"home of {node.name}" for node in (self.head, self.other)}
        for home in self._homes.values():
            home.mkdir()

    @staticmethod
    def _machine(number: int, scratch: Path) -> NetworkNode:
        node = NetworkNode(number, scratch)
        # Ray takes for a machine's address that from which it would reach others.
        node.run("ip", "route", "add", "default", "via", SWITCH_ADDRESS)
        return node

    def token(self, node: NetworkNode) -> Path:
        return self._homes[node.name] / ".ray" / "auth_token"

    def _typed(self, node: NetworkNode, text: str) -> tuple[list[str], Mapping[str, str]]:
        for page, here in (
            (".venv/bin/", f"{Path(sys.executable).parent}/"),
            ("HEAD_ADDRESS", self.head.address),
            ("/shared/runs", str(self.runs)),
            ("--gpus-per-trial 1 ", ""),
            ("data=imagenet data.root=/data/imagenet", f"data=image_folder data.root={self.images}"),
        ):
            text = text.replace(page, here)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
        environment = {**kept, "HOME": str(self._homes[node.name]), "OMP_NUM_THREADS": "1"}
        return node.inside("bash", "-ec", text, directory=PROJECT), environment

    def types(self, node: NetworkNode, text: str) -> str:
        """Runs a block to its end, which has to be a good one. Returns its output."""
        command, environment = self._typed(node, text)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def begins(self, node: NetworkNode, text: str) -> "subprocess.Popen[str]":
        command, environment = self._typed(node, text)
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def switch_off(self) -> None:
        for node in (self.head, self.other):
            node.switch_off()


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    if shutil.which("curl") is None:
        pytest.skip("needs curl, to try the ports")
    with own_network():
        found = Machines(tmp_path)
        try:
            yield found
        finally:
            found.switch_off()


def grpc_status(node: NetworkNode, port: int, method: str, token: str | None = None) -> int | None:
    """The status of an empty call; None where it is answered by no service."""
    authorization = [] if token is None else ["-H", f"authorization: Bearer {token}"]
    headers = ["-H", "content-type: application/grpc", "-H", "te: trailers", *authorization]
    url = f"http://{node.address}:{port}/ray.rpc.{method}"
    done = subprocess.run(
        ["curl", "-s", "-m", "20", "--http2-prior-knowledge", *headers, "--data-binary", "@-", "-o", "/dev/null",
         "-D", "-", url],
        input=bytes(5), stdout=subprocess.PIPE, check=False,
    )  # fmt: skip
    found = re.search(rb"grpc-status: (\d+)", done.stdout)
    return None if found is None else int(found[1])


def http_status(node: NetworkNode, port: int) -> int:
    """The status of the answer to a request; 0 where there is none."""
    url = f"http://{node.address}:{port}/"
    command = ["curl", "-s", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}", url]
    return int(subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout)


def refuses(node: NetworkNode, port: int, token: str | None) -> bool:
    """Whether a port asks whoever comes with this token, or with none, for another."""
    statuses = {grpc_status(node, port, method, token) for method in METHODS} - {None, UNIMPLEMENTED}
    return statuses == {UNAUTHENTICATED} or (not statuses and http_status(node, port) == 401)


def test_a_newcomer_gets_from_two_fresh_machines_to_a_front_by_the_page_alone(machines: Machines) -> None:
    (token,) = commands("The token")
    start_head, start_other = commands("Or start it by hand")
    (check,) = commands("Check it")
    search, mlflow = commands("Search")
    (status,) = commands("What goes on")
    assert "make mlflow" in mlflow

    machines.types(machines.head, token)
    machines.token(machines.other).parent.mkdir()
    shutil.copy2(machines.token(machines.head), machines.token(machines.other))
    assert machines.token(machines.other).stat().st_mode & 0o777 == 0o600
    machines.types(machines.head, start_head)
    machines.types(machines.other, start_other)
    machines.runs.mkdir(parents=True)
    table = machines.types(machines.head, check)
    assert all(f"{node.name} " in table for node in (machines.head, machines.other)), table

    process = machines.begins(machines.head, f"{search.rstrip()} {SHORT}")
    directory = run_directory(str(machines.runs), NAME)

    def is_training_on_both() -> bool:
        records = read_ledger(directory, None).records if directory.has_ledger else ()
        places = [record.place for record in records if record.outcome == "running" and record.epochs]
        return {present(place).node.split()[0] for place in places} == {machines.head.name, machines.other.name}

    wait_for(is_training_on_both, process)
    shown = machines.types(machines.other, status.replace("NAME", NAME))
    assert machines.head.name in shown and machines.other.name in shown

    key = machines.token(machines.head).read_text(encoding="ascii").strip()
    assert grpc_status(machines.head, 6379, METHODS[0], key) not in (None, UNIMPLEMENTED, UNAUTHENTICATED)
    for node in (machines.head, machines.other):
        ports = node.ports()
        assert len(ports) >= 4
        for given in (None, "0" * len(key)):
            assert [port for port in ports if not refuses(node, port, given)] == []

    output, _ = output_of(process)
    assert process.returncode == 0 and key not in output, output
    assert directory.front.is_file()
    for node in (machines.other, machines.head):
        machines.types(node, ".venv/bin/ray stop")
    assert not machines.head.ports() and not machines.other.ports()
