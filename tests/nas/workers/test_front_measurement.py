import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.records.front import front_of
from nas.records.trial import TrialRecord
from nas.settings.cluster_settings import ClusterSettings
from nas.settings.run_directory import run_directory
from nas.workers.front_measurement import measure_front, measured
from nas.workers.ray_cluster import ray_cluster
from nas.workers.trial_config import TrialTemplate
from search_spaces.architecture import Architecture, Attention
from tests.support.bundles import inference_cost
from tests.support.present import present
from tests.support.searches import DIGITS, epoch_result, search_header, shipped_space, tiny_space
from trainers.data.config import DATA_DEFAULTS
from trainers.inference_cost import InferenceCost
from trainers.recipe_files import full_training

CLUSTER = ClusterSettings(address=None, gpus_per_trial=0, cpus_per_trial=1)


def filled_ledger(directory: Path, accuracies: tuple[float, ...] = (0.9, 0.5, 0.7)) -> Ledger:
    """A ledger with a finished trial for each accuracy, of as many FLOPs as its number tells."""
    ledger = Ledger.create(ledger_url(directory / "ledger.db"), "name", search_header())
    for accuracy in accuracies:
        number, architecture = ledger.next_number, ledger.propose(tiny_space(), "random", 0)
        ledger.register(record_of(number, architecture), tiny_space())
        ledger.record_epoch(number, epoch_result(1, accuracy))
        ledger.end(number, "finished")
    return ledger


def record_of(number: int, architecture: Architecture) -> TrialRecord:
    return TrialRecord(number, architecture, 1000 - 10 * number, 7, 0, "running")


def template(directory: Path) -> TrialTemplate:
    run = run_directory(str(directory), "name")
    return TrialTemplate(DATA_DEFAULTS["digits"], DIGITS, "", full_training("digits"), run, "cpu", 1, 600.0, 1, 1.0)


def test_a_measurement_is_kept_with_the_trial_once(tmp_path: Path) -> None:
    ledger = filled_ledger(tmp_path)
    first = inference_cost(latency_ms=1.5, peak_memory_mb=2.5)
    ledger.record_inference(0, first)
    ledger.record_inference(0, inference_cost(latency_ms=9.0))
    for found in (ledger, Ledger.open(ledger_url(tmp_path / "ledger.db"), "name")):
        assert [record.inference for record in found.records] == [first, None, None]
        document = json.loads(json.dumps(found.records[0].to_json()))
        assert (document["latency_ms"], document["peak_memory_mb"]) == (1.5, 2.5)
        assert found.records[1].to_json()["latency_ms"] is None


def test_a_worker_measures_the_network_that_the_search_trained(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    ledger = filled_ledger(tmp_path, (0.9,))
    architecture = ledger.records[0].architecture
    try:
        cost = measured(architecture, template(tmp_path), 2)
        assert isinstance(cost, InferenceCost)
        assert (cost.batch, cost.threads, cost.image_size, cost.precision) == (2, 1, 16, "float32")
        # What cannot be measured comes back as one line, here an array that no memory holds.
        reason = measured(architecture, template(tmp_path), 10**12)
    finally:
        torch.set_num_threads(threads)
    assert isinstance(reason, str) and "\n" not in reason and "Error" in reason


BURN = "while True: pass"


@pytest.mark.slow
def test_near_equal_networks_come_out_near_equal_on_a_busy_machine(tmp_path: Path) -> None:
    """Or are told with ranges that say that they cannot be told apart."""
    ledger = filled_ledger(tmp_path, ())
    convolution = shipped_space().anchors()[0]
    for number, heads in enumerate((1, 2, 4, 8)):
        # Of the last stage alone, where there is next to nothing to attend to.
        last = (Attention(3, heads, "none"),) * len(convolution.stages[-1])
        architecture = dataclasses.replace(convolution, stages=(*convolution.stages[:-1], last))
        ledger.register(record_of(number, architecture), shipped_space())
        ledger.record_epoch(number, epoch_result(1, 0.9 - 0.1 * number))
        ledger.end(number, "finished")
    assert len(front_of(ledger.records)) == 4
    said: list[str] = []
    burning = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        with ray_cluster(CLUSTER):
            measure_front(ledger, template(tmp_path), CLUSTER, 1, lambda: False, said.append)
    finally:
        for process in burning:
            process.kill()
            process.wait()
    costs = [present(record.inference) for record in ledger.records]
    assert all(cost.latency_low_ms <= cost.latency_ms <= cost.latency_high_ms for cost in costs)
    lowest = min(costs, key=lambda cost: cost.latency_ms)
    for cost in costs:
        near = cost.latency_ms <= 1.25 * lowest.latency_ms
        assert near or cost.latency_low_ms <= lowest.latency_high_ms
    assert any("came out otherwise each time" in line for line in said) == any(not cost.is_steady for cost in costs)


@pytest.mark.slow
def test_the_front_is_measured_on_the_machines_of_the_search(tmp_path: Path) -> None:
    ledger = filled_ledger(tmp_path)
    members = [record.number for record in front_of(ledger.records)]
    assert members == [2, 0]
    said: list[str] = []

    def measure(batch: int = 1, stop: bool = False) -> None:
        measure_front(ledger, template(tmp_path), CLUSTER, batch, lambda: stop, said.append)

    with ray_cluster(CLUSTER):
        measure(stop=True)
        assert said == [] and all(record.inference is None for record in ledger.records)
        measure(batch=10**12)
        assert len(said) == 2 and "2 of them could not be measured: " in said[1] and "\n" not in said[1]
        assert all(record.inference is None for record in ledger.records)
        measure()
        costs = [record.inference for record in ledger.records]
        assert [cost is None for cost in costs] == [False, True, False]
        assert costs[0] is not None and costs[0].threads == 1 and costs[0].batch == 1
        # A busy machine may have been named, too.
        lines = len(said)
        assert 3 <= lines <= 4
        measure()
        assert len(said) == lines and [record.inference for record in ledger.records] == costs
