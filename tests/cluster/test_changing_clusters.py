"""Searches on Ray clusters whose nodes come and go: by an autoscaler, by themselves, and with the head."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
from ray.cluster_utils import Cluster
from ray.experimental import internal_kv

from tests.cluster.test_cluster import busy_nodes
from tests.faults.searches import output_of, start_search, wait_for
from tests.support.present import present

pytestmark = pytest.mark.cluster

RAY = Path(sys.executable).parent / "ray"


@contextlib.contextmanager
def processes_below(*command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a command, and kills it with all that it has started."""
    process = subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        below = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for each in below:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait()


@pytest.fixture
def scaled_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a head without CPUs, for which Ray's autoscaler brings up to two nodes of one on this machine."""
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    address = f"{ray.util.get_node_ip_address()}:{port}"
    config = {
        "cluster_name": "scaled",
        "max_workers": 2,
        "idle_timeout_minutes": 60,
        "provider": {
            "type": "fake_multinode", "gcs_address": address, "launch_multiple": True,
            "disable_node_updaters": True, "disable_launch_config_check": True,
        },
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "worker": {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": 2},
        },
        "head_node_type": "ray.head.default",
        "auth": {},
        "file_mounts": {},
        "cluster_synced_files": [],
        "initialization_commands": [],
        "setup_commands": [],
        "head_setup_commands": [],
        "worker_setup_commands": [],
        "head_start_ray_commands": [],
        "worker_start_ray_commands": [],
    }  # fmt: skip
    # Whatever the token of this machine.
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    written = tmp_path / "scaling.yaml"
    written.write_text(json.dumps(config), encoding="utf-8")
    head = (
        str(RAY), "start", "--head", "--block", f"--port={port}", "--num-cpus=0", "--include-dashboard=false",
        "--disable-usage-stats", "--dashboard-agent-listen-port=0", f"--autoscaling-config={written}",
    )  # fmt: skip
    with processes_below(*head, RAY_FAKE_CLUSTER="1", AUTOSCALER_UPDATE_INTERVAL_S="1") as started:
        while started.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(address.split(":"), timeout=1).close()  # type: ignore[arg-type]
                break
        yield address
        ray.shutdown()


def test_a_search_waits_for_the_nodes_that_it_asks_an_autoscaler_for_and_gives_them_back(
    scaled_cluster: str, tmp_path: Path
) -> None:
    ray.init(address=scaled_cluster)
    process = start_search(tmp_path, "scaled", "--address", scaled_cluster, "--trials", "4")
    # The head has no CPU, and counts as busy.
    wait_for(lambda: busy_nodes() == 3, process)
    output, error = output_of(process, 300)
    assert process.returncode == 0, error
    said = "no node holds a trial of 1 CPUs and 0 GPUs: the autoscaler of the cluster was asked for one"
    assert error.count(said) == 1 and error.count("has joined") == 1, error
    assert "the front:" in output
    assert json.loads(internal_kv._internal_kv_get("autoscaler_resource_request")) == []


def test_a_node_that_starts_again_is_used_and_a_dead_head_ends_the_search_with_the_command_that_goes_on(
    tmp_path: Path,
) -> None:
    """The second node is started in a loop, as the page says; its raylet is killed, then the head's GCS."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    start = f"{RAY} start --address={cluster.address} --num-cpus=1 --block"
    try:
        # What ends there would take the code of the head's workers along, which is unpacked in this directory.
        with (
            tempfile.TemporaryDirectory(prefix="ray") as own,
            processes_below("bash", "-c", f"while true; do {start} --temp-dir={own}; sleep 1; done") as node,
        ):
            ray.init(address=cluster.address)
            wait_for_nodes(2)
            process = start_search(
                tmp_path, "head", "--address", cluster.address, "--trials", "40", "training.epochs=500",
                "search.scheduler=none",
            )  # fmt: skip
            said: list[str] = []
            reader = threading.Thread(target=lambda: said.extend(present(process.stderr)), daemon=True)
            reader.start()
            wait_for(lambda: busy_nodes() == 2, process)
            (raylet,) = (each for each in psutil.Process(node.pid).children(recursive=True) if each.name() == "raylet")
            raylet.kill()
            wait_for(lambda: any("has joined" in line for line in said), process)
            wait_for(lambda: busy_nodes() == 2, process)
            ray.shutdown()
            os.kill(present(cluster.head_node).all_processes["gcs_server"][0].process.pid, signal.SIGKILL)
            output = present(process.stdout).read()
            process.wait(100)
            reader.join()
    finally:
        ray.shutdown()
        cluster.shutdown()
    error = "".join(said)
    assert process.returncode == 1, error
    assert re.fullmatch(r"error: Ray's head at \S+ is silent for 5\d s; what is finished is kept\.", said[-1].strip())
    assert error.count("gives no answer; it is waited for, for 50 s") == 1, error
    assert "nas/search.py --resume head" in output.splitlines()[-1], output


def test_another_head_in_the_place_of_the_first_ends_the_search_with_the_command_that_goes_on(tmp_path: Path) -> None:
    """A GCS without the state of the one before, as of a pod that was started anew: Ray then ends the driver itself."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    head: Any = cluster.head_node
    try:
        ray.init(address=cluster.address)
        process = start_search(
            tmp_path, "head", "--address", cluster.address, "--trials", "40", "training.epochs=500"
        )  # fmt: skip
        wait_for(lambda: busy_nodes() == 1, process)
        ray.shutdown()
        head.kill_gcs_server()
        head.start_gcs_server()
        _, error = output_of(process, 150)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert process.returncode != 0, error
    last = error.splitlines()[-1]
    assert last.startswith("error: the driver of search head has died") and "nas/search.py --resume head" in last, error


def wait_for_nodes(count: int) -> None:
    deadline = time.monotonic() + 120
    while sum(node["Alive"] for node in ray.nodes()) < count and time.monotonic() < deadline:
        time.sleep(0.5)
