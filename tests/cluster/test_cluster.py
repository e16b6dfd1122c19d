"""Searches on a Ray cluster of two nodes on this machine."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from pathlib import Path

import psutil
import pytest
import ray
from ray._private.state import available_resources_per_node
from ray.cluster_utils import Cluster

from cluster.node_checks import NodeCheck, check_nodes, node_name
from nas.settings.run_directory import run_directory
from tests.entries.test_search import SMALL, run, start, summary
from tests.faults.searches import output_of, records, start_search, wait_for
from tests.support.images import make_images
from tests.support.present import present
from tests.support.s3_server import S3Server, s3_server
from trainers.data.config import DATA_DEFAULTS, KnownFiles
from trainers.data.datasets import check_data
from trainers.data.digits_source import digits_fingerprint
from trainers.folders import Directory

pytestmark = pytest.mark.cluster


@pytest.fixture
def two_nodes() -> Iterator[Cluster]:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def busy_nodes() -> int:
    """How many nodes have their one CPU in use."""
    return sum(resources.get("CPU", 0) < 1 for resources in available_resources_per_node().values())


def test_a_search_uses_both_nodes(two_nodes: Cluster, tmp_path: Path) -> None:
    process = start(
        tmp_path, "nas/search.py", "--space", "resnet_stages", "--name", "two", "--trials", "4",
        "--address", two_nodes.address, *SMALL,
    )  # fmt: skip
    most_busy = 0
    deadline = time.monotonic() + 400
    while process.poll() is None and time.monotonic() < deadline:
        most_busy = max(most_busy, busy_nodes())
        time.sleep(0.2)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    output, error = process.communicate()
    assert process.returncode == 0, error
    assert most_busy == 2
    assert summary(tmp_path, "two")["architectures_trained"] == 4
    assert "the front:" in output


def test_a_search_survives_the_loss_of_a_node(tmp_path: Path) -> None:
    """Its second node is killed once trials have been trained for some epochs on both."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address)
    try:
        process = start_search(
            tmp_path, "lost", "--address", cluster.address, "--trials", "3", "training.epochs=40",
            "search.scheduler=none",
        )  # fmt: skip
        try:
            wait_for(lambda: busy_nodes() == 2 and _fewest_epochs_of_two(tmp_path) >= 2, process)
            os.kill(second.all_processes["raylet"][0].process.pid, signal.SIGKILL)
            at_the_loss = {record.number: record.epochs for record in records(tmp_path, "lost")}
            output, error = output_of(process, 400)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert process.returncode == 0, error
    assert error.count("its node was lost, it goes on from its checkpoint") == 1, error
    assert "the front:" in output
    ended = [record for record in records(tmp_path, "lost") if record.trained]
    assert [(record.outcome, record.deaths, len(record.epochs)) for record in ended] == [("finished", 0, 40)] * 3
    # What was given to the node before it was known to be lost has lost it, too.
    lost = {record.number: record.mishap.reason for record in ended if record.mishap is not None}
    assert set(lost.values()) == {"its node was lost"} and len(lost.keys() & at_the_loss.keys()) == 1
    # With their seconds: an epoch that was trained again would have others.
    kept = {number: epochs == ended[number].epochs[: len(epochs)] for number, epochs in at_the_loss.items()}
    assert all(kept.values()), kept


def _fewest_epochs_of_two(directory: Path) -> int:
    """The epochs that the ledger holds of the less trained of two running trials; 0 while there are not two."""
    if not run_directory(str(directory / "runs"), "lost").ledger.exists():
        return 0
    running = [len(record.epochs) for record in records(directory, "lost") if record.outcome == "running"]
    return min(running) if len(running) == 2 else 0


def test_a_search_that_no_node_can_run_is_refused(two_nodes: Cluster, tmp_path: Path) -> None:
    process = start(
        tmp_path, "nas/search.py", "--space", "resnet_stages", "--address", two_nodes.address, "--gpus-per-trial", "1"
    )
    _, error = process.communicate(timeout=120)
    assert process.returncode == 2 and "a trial takes 1 CPUs and 1 GPUs" in error and error.count("\n") == 1


def test_a_trial_that_no_single_node_can_hold_is_refused(two_nodes: Cluster, tmp_path: Path) -> None:
    """Both together could, and it would wait for ever."""
    arguments = ["--space", "resnet_stages", "--address", two_nodes.address, "--cpus-per-trial", "2"]
    process = start(tmp_path, "nas/search.py", *arguments)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 2 and error == (
        "error: a trial takes 2 CPUs and 0 GPUs of one machine, and each has 1 and 0: lower --cpus-per-trial.\n"
    )
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


@contextlib.contextmanager
def node_with_own_mounts(cluster: Cluster, mounts: str = ":") -> Iterator[int]:
    """A second node, of one CPU, that sees what `mounts` (shell) mounts, and others do not. Its process."""
    separate = ["unshare", "--mount", "sh", "-c"]
    if shutil.which("unshare") is None or subprocess.run([*separate, mounts], capture_output=True).returncode:
        pytest.skip("needs the right to make a mount namespace")
    script = Path(sys.executable).parent / "ray"
    join = f"{mounts} && exec {script} start --address {cluster.address} --num-cpus 1 --block"
    node = subprocess.Popen(
        [*separate, join], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        ray.init(address=cluster.address, ignore_reinit_error=True)
        deadline = time.monotonic() + 60
        while len([entry for entry in ray.nodes() if entry["Alive"]]) < 2 and time.monotonic() < deadline:
            time.sleep(0.5)
        yield node.pid
    finally:
        os.killpg(node.pid, signal.SIGTERM)
        node.wait(30)


@pytest.fixture
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture
def head() -> Iterator[Cluster]:
    """A cluster of one node, of one CPU."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_storage_that_a_node_does_not_share_is_noticed(head: Cluster, tmp_path: Path) -> None:
    """The second node runs in a mount namespace of its own, where the storage is another, empty directory."""
    data = DATA_DEFAULTS["digits"]
    with node_with_own_mounts(head, f"mount -t tmpfs none {tmp_path}"):
        check = NodeCheck(
            Directory(tmp_path), data, check_data(data), KnownFiles("data.index", digits_fingerprint().digest)
        )
        first, second = (report for _, report in check_nodes(check).values())
        assert {first.problem, second.problem} > {None}
        problem = first.problem or second.problem
        assert "does not see the storage" in str(problem) and "expected a --runs-dir" in str(problem)
        assert list(tmp_path.iterdir()) == []


def test_nodes_that_share_no_folder_go_on_with_each_others_trials_from_a_storage(
    server: S3Server, head: Cluster, tmp_path: Path
) -> None:
    """The second node sees none of the first one's files, and is killed once both have trained some epochs."""
    runs, bucket = tmp_path / "runs", server.make_bucket()
    runs.mkdir()
    check = [sys.executable, "-m", "cluster.check", "--address", head.address, "--storage", f"s3://{bucket}"]
    with node_with_own_mounts(head, f"mount -t tmpfs none {tmp_path}") as node:
        checked = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert checked.returncode == 0 and "2 of 2 nodes can run trials" in checked.stdout, checked
        process = start_search(
            tmp_path, "lost", "--address", head.address, "--storage", f"s3://{bucket}/searches", "--trials", "3",
            "training.epochs=16", "search.scheduler=none",
        )  # fmt: skip
        try:
            wait_for(lambda: busy_nodes() == 2 and _fewest_epochs_of_two(tmp_path) >= 2, process)
            at_the_loss = {record.number: record.epochs for record in records(tmp_path, "lost")}
            (raylet,) = (each for each in psutil.Process(node).children(recursive=True) if each.name() == "raylet")
            raylet.kill()
            output, error = output_of(process, 400)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, error
    # Whether the worker's end or the node's is heard of first is chance.
    assert ", it goes on from its checkpoint" in error or "; it goes on elsewhere, and is not counted" in error, error
    ended = [record for record in records(tmp_path, "lost") if record.trained]
    assert [(record.outcome, len(record.epochs)) for record in ended] == [("finished", 16)] * 3
    # With their seconds: an epoch that was trained again would have others.
    assert all(epochs == ended[number].epochs[: len(epochs)] for number, epochs in at_the_loss.items())
    there = server.names(bucket)
    assert {"searches/lost/summary.json", "searches/lost/report/front.html"} <= set(there)
    assert not (runs / "lost" / "checkpoints").exists() and any("/checkpoints/" in name for name in there)
    assert f"storage  s3://{bucket}/searches/lost" in output


def test_a_node_that_lacks_something_is_shown_refused_or_left_out(head: Cluster, tmp_path: Path) -> None:
    """The second node does not share the storage, and says that its torch is another."""
    runs, installed = tmp_path / "runs", Path(str(metadata.distribution("torch").locate_file(""))).resolve()
    runs.mkdir()
    (described,) = installed.glob("torch-*.dist-info/METADATA")
    other = tmp_path / "METADATA"
    text = re.sub(r"(?m)^Version: .*$", "Version: 2.1.0", described.read_text(encoding="utf-8"), count=1)
    other.write_text(text, encoding="utf-8")
    search = [
        "nas/search.py", "--space", "resnet_stages", "--name", "one", "--trials", "2", "--address", head.address, *SMALL
    ]  # fmt: skip
    with node_with_own_mounts(head, f"mount --bind {other} {described} && mount -t tmpfs none {runs}"):
        (second,) = (node_name(node) for node in ray.nodes() if node["NodeID"] != present(head.head_node).node_id)
        check = [sys.executable, "-m", "cluster.check", "--address", head.address]
        checked = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        output = checked.stdout
        assert checked.returncode == 1, checked.stderr
        rows = {line[: len(second)]: line.split() for line in output.splitlines()}
        assert "2.1.0" in rows[second] and "FAIL" in rows[second]
        assert f"node {second}: cannot run trials: it does not see the storage" in output
        assert f"node {second}: cannot run trials: torch is 2.1.0 there, and" in output
        assert output.splitlines()[-1] == "1 of 2 nodes can run trials" and list(runs.iterdir()) == []
        refused = run(tmp_path, *search)
        assert refused.returncode == 2 and refused.stderr.count("\n") == 1, refused.stderr
        assert f"node {second} cannot run trials: it does not see the storage" in refused.stderr
        assert "torch is 2.1.0 there" in refused.stderr and list(runs.iterdir()) == []
        done = run(tmp_path, *search, "--bad-nodes", "leave-out")
        assert done.returncode == 0, done.stderr
        assert f"node {second} is left out: it does not see the storage" in done.stderr
        assert [left["node"] for left in summary(tmp_path, "one")["nodes_left_out"]] == [second]
        assert summary(tmp_path, "one")["counts"]["finished"] == 2


def test_a_node_that_loses_its_data_is_left_out_and_taken_back_and_costs_nothing(head: Cluster, tmp_path: Path) -> None:
    """Its images are hidden by a mount once it has trained, and come back once it is left out."""
    images = make_images(tmp_path / "images", count=20)
    with node_with_own_mounts(head) as node:
        there = ["nsenter", "--target", str(node), "--mount"]
        process = start_search(
            tmp_path, "lost", "--address", head.address, "--trials", "8", "training.epochs=150",
            "search.scheduler=none", "data=image_folder", f"data.root={images}", "data.image_size=16",
            "data.loader_workers=0", "training.batch_size=8",
        )  # fmt: skip
        said: list[str] = []
        stdout, stderr = present(process.stdout), present(process.stderr)
        reader = threading.Thread(target=lambda: said.extend(stderr), daemon=True)
        reader.start()
        try:
            wait_for(lambda: busy_nodes() == 2 and _fewest_epochs_of_two(tmp_path) >= 2, process)
            subprocess.run([*there, "mount", "-t", "tmpfs", "none", str(images)], check=True)
            wait_for(lambda: any("is left out: 3 failures in a row" in line for line in said), process)
            time.sleep(3)
            subprocess.run([*there, "umount", str(images)], check=True)
            wait_for(lambda: any("is given trials again" in line for line in said), process)
            wait_for(lambda: busy_nodes() == 2, process)
            output = stdout.read()
            process.wait(400)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    reader.join()
    error = "".join(said)
    assert process.returncode == 0, error
    ended = [record for record in records(tmp_path, "lost") if record.trained]
    assert [(record.outcome, record.deaths, len(record.epochs)) for record in ended] == [("finished", 0, 150)] * 8
    assert error.count("is left out") == 1 and error.count("has passed its check: it is given trials again") == 1
    assert error.count("it goes on elsewhere, and is not counted as failed") == 3, error
    (left,) = summary(tmp_path, "lost")["nodes_left_out"]
    assert left["until"] > left["since"] and left["node"] in output and "was left out" in output


def test_workers_that_die_again_and_again_on_one_node_cost_no_trial(two_nodes: Cluster, tmp_path: Path) -> None:
    """Whatever trains on the second node is killed there after two epochs, four times in all."""
    (second,) = two_nodes.worker_nodes
    raylet = psutil.Process(second.all_processes["raylet"][0].process.pid)
    (name,) = (node_name(node) for node in ray.nodes() if node["NodeID"] == second.node_id)

    def trained_there() -> dict[int, int]:
        return {
            record.number: len(record.epochs)
            for record in records(tmp_path, "sick")
            if record.outcome == "running" and record.place is not None and record.place.node == name
        }

    def has_trained(found: dict[int, int]) -> bool:
        return any(epochs >= found.get(number, 0) + 2 for number, epochs in trained_there().items())

    def kill_workers() -> None:
        for process in raylet.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if "ImplicitFunc" in process.cmdline()[0]:
                    process.kill()

    process = start_search(
        tmp_path, "sick", "--address", two_nodes.address, "--trials", "4", "training.epochs=12", "search.scheduler=none"
    )
    try:
        ledger = run_directory(str(tmp_path / "runs"), "sick").ledger
        for _ in range(4):
            wait_for(lambda: ledger.exists() and bool(trained_there()), process)
            wait_for(partial(has_trained, trained_there()), process)
            kill_workers()
        output, error = output_of(process, 400)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0 and "the front:" in output, error
    assert error.count("its worker process died; it goes on elsewhere, and is not counted as failed") == 4, error
    ended = [(record.outcome, record.deaths, len(record.epochs)) for record in records(tmp_path, "sick")]
    assert [found for found in ended if found[0] not in ("duplicate", "rejected")] == [("finished", 0, 12)] * 4
