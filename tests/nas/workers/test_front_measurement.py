import json
from pathlib import Path

import pytest
import torch

from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.records.front import front_of
from nas.records.trial import TrialRecord
from nas.settings.run_directory import run_directory
from nas.settings.search_settings import ClusterSettings
from nas.workers.front_measurement import measure_front, measured
from nas.workers.ray_cluster import ray_cluster
from nas.workers.trial_config import TrialTemplate
from search_spaces.architecture import Architecture
from tests.support.bundles import inference_cost
from tests.support.searches import DIGITS, epoch_result, search_header, tiny_space
from trainers.data.config import DATA_DEFAULTS
from trainers.inference_cost import InferenceCost
from trainers.recipe import FULL_TRAINING

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
    return TrialTemplate(DATA_DEFAULTS["digits"], DIGITS, "", FULL_TRAINING["digits"], run, "cpu", 1)


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
        assert len(said) == 3
        measure()
        assert len(said) == 3 and [record.inference for record in ledger.records] == costs
