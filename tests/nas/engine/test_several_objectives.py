"""A search on accuracy, FLOPs and parameters, or latency, without Ray's workers: its ledger, front and limits."""

import random
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient
from optuna.study import StudyDirection

from nas.engine.engine import Engine
from nas.engine.start import start_engine
from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.records.front import front_hypervolume, front_of
from nas.records.latency_reference import LatencyReference
from nas.records.pareto import Point, hypervolume
from search_spaces.architecture import Architecture, Attention
from search_spaces.space_cost import flops_range, params_range
from tests.entries.test_search import SMALL, summary
from tests.entries.test_search import run as run_script
from tests.nas.engine.test_latency_search import EPOCHS, SPACE, every_architecture
from tests.support.present import present
from tests.support.searches import DIGITS, epoch_result, search_header, search_settings, slow_attention_ms

THREE = ("val_accuracy", "flops", "params")
SIZE = {"image_size": 16, "in_channels": 1, "classes": 10}


def accuracy_of(architecture: Architecture) -> float:
    """Attention helps late and hurts early, the wider the more: what is accurate is neither small nor cheap."""
    gain = 0.0
    for worth, blocks in zip((-0.15, -0.05, 0.3, 0.6), architecture.stages, strict=True):
        extents = [block.spatial_extent for block in blocks if isinstance(block, Attention)]
        gain += worth * sum(0.4 + 0.05 * extent for extent in extents) / len(blocks)
    return 0.6 + 0.3 * gain


def new_engine(directory: Path, name: str, objectives: tuple[str, ...] = THREE, **settings: object) -> Engine:
    wanted = search_settings(**({"objectives": objectives, "sampler": "ehvi", "trials": 16} | settings))
    ledger = Ledger.create(ledger_url(directory / f"{name}.db"), name, search_header(space=SPACE, search=wanted))
    if wanted.on_latency:
        slowest = max(every_architecture(SPACE), key=slow_attention_ms)
        ledger.record_latency_reference(LatencyReference(slowest, slow_attention_ms(slowest), 1))
    return start_engine(ledger, SPACE, DIGITS, wanted, EPOCHS)


def run(engine: Engine) -> Engine:
    """Trains every assignment one after the other; where latency counts, each is measured before it trains."""
    while (assignment := engine.next_assignment()) is not None:
        if engine.settings.on_latency:
            engine.report_latency(assignment.number, slow_attention_ms(assignment.architecture))
        final = accuracy_of(assignment.architecture)
        for epoch in range(assignment.recorded_epochs + 1, EPOCHS + 1):
            if not engine.report_epoch(assignment.number, epoch_result(epoch, final - 0.2 / epoch + 0.2 / EPOCHS)):
                break
    engine.conclude()
    return engine


def point_of(architecture: Architecture) -> Point:
    cost = DIGITS.cost(architecture)
    return accuracy_of(architecture), float(cost.flops), float(cost.params)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Engine]:
    directory = tmp_path_factory.mktemp("three")
    return directory, run(new_engine(directory, "three"))


def test_the_ledger_holds_every_objective_and_opens_again(searched: tuple[Path, Engine]) -> None:
    directory, engine = searched
    url = ledger_url(directory / "three.db")
    study = optuna.load_study(study_name="three", storage=url)
    assert study.directions == [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE, StudyDirection.MINIMIZE]
    finished = [record for record in engine.records if record.outcome == "finished"]
    assert len(finished) >= 6
    for record in finished:
        assert study.trials[record.number].values == list(record.point) == list(point_of(record.architecture))
    again = Ledger.open(url, "three")
    assert again.records == engine.records
    facts = again.header.facts("three", None)
    assert facts.cost_names == ("flops", "params") == again.records[0].cost_names
    assert facts.reference == engine.reference
    assert engine.reference == (0.1, float(flops_range(SPACE, **SIZE)[1]), float(params_range(SPACE, **SIZE)[1]))


def test_the_front_is_what_nothing_beats_in_all_three(searched: tuple[Path, Engine]) -> None:
    _, engine = searched
    finished = [record for record in engine.records if record.outcome == "finished"]

    def beaten(point: Point) -> bool:
        others = [record.point for record in finished if record.point != point]
        return any(a >= point[0] and f <= point[1] and p <= point[2] for a, f, p in others)

    members = front_of(engine.records)
    assert {record.number for record in members} == {one.number for one in finished if not beaten(one.point)}
    assert [record.flops for record in members] == sorted(record.flops for record in members)
    # Some of it is there for its parameters alone.
    over_flops = {(record.point[0], record.flops) for record in members}
    assert any(a >= record.point[0] and f < record.flops for record in members for a, f in over_flops)


def test_more_is_found_than_at_random(searched: tuple[Path, Engine], tmp_path: Path) -> None:
    _, engine = searched
    every = every_architecture(SPACE)
    truth = hypervolume([point_of(one) for one in every], engine.reference)
    budget = sum(len(record.epochs) for record in engine.records) // EPOCHS
    volumes = [
        hypervolume([point_of(one) for one in random.Random(seed).sample(every, budget)], engine.reference)
        for seed in range(20)
    ]
    box = engine.reference[1] * engine.reference[2] * (1 - engine.reference[0])
    found = front_hypervolume(engine.records, engine.reference) * box
    assert found > 0.9 * truth and found > sorted(volumes)[17]


def test_limits_hold_on_both_costs_and_what_a_sampler_proposes_beyond_them_is_rejected(tmp_path: Path) -> None:
    (fewest, most), (low, high) = flops_range(SPACE, **SIZE), params_range(SPACE, **SIZE)
    flops, params = fewest + 0.7 * (most - fewest), low + 0.5 * (high - low)
    for sampler in ("ehvi", "nsga2"):
        engine = run(
            new_engine(
                tmp_path, sampler, sampler=sampler, trials=4, scheduler="none", max_flops=flops, max_params=params
            )
        )
        trained = [record for record in engine.records if record.trained]
        assert len(trained) == 4, sampler
        assert all(r.flops <= flops and r.params <= params for r in trained)
        assert engine.reference == (0.1, flops, params)
        reasons = [record.reason or "" for record in engine.records if record.outcome == "rejected"]
        assert all("exceed the limit of" in reason for reason in reasons) and (sampler != "ehvi" or not reasons)
    assert Ledger.open(ledger_url(tmp_path / "nsga2.db"), "nsga2").records == engine.records


def test_latency_may_be_one_of_several_costs_and_has_a_limit_of_its_own(tmp_path: Path) -> None:
    objectives = ("val_accuracy", "params", "latency_ms")
    engine = run(new_engine(tmp_path, "late", objectives, trials=7))
    slowest = max(map(slow_attention_ms, every_architecture(SPACE)))
    assert engine.reference == (0.1, float(params_range(SPACE, **SIZE)[1]), slowest)
    for record in front_of(engine.records):
        assert record.point[1:] == (float(record.params), slow_attention_ms(record.architecture))
        assert record.readable_cost == f"{record.params:,} parameters, {record.latency_ms:.3g} ms"
    limited = new_engine(tmp_path, "limited", objectives, trials=2, max_latency_ms=0.5 * slowest)
    assert limited.reference[2] == 0.5 * slowest
    assert limited.ledger.header.facts("limited", slowest).reference == limited.reference


def test_parameters_may_be_the_only_cost(tmp_path: Path) -> None:
    engine = run(new_engine(tmp_path, "alone", ("val_accuracy", "params"), trials=3, scheduler="none"))
    assert engine.reference == (0.1, float(params_range(SPACE, **SIZE)[1]))
    assert {record.point[1:] for record in engine.records} == {(float(record.params),) for record in engine.records}
    assert Ledger.open(ledger_url(tmp_path / "alone.db"), "alone").records == engine.records


@pytest.mark.slow
def test_a_real_search_on_three_objectives(tmp_path: Path) -> None:
    """Searched, shown, exported, gone on with, and not gone on with for others."""
    objectives = "search.objectives=[val_accuracy,flops,params]"
    words = ("--space", "resnet_stages", "--name", "three", *SMALL, objectives, "--max-params", "130k")
    done = run_script(tmp_path, "nas/search.py", *words, "--trials", "3")
    assert done.returncode == 0, done.stderr
    assert "accuracy over the logarithms of FLOPs and parameters" in done.stdout
    result = summary(tmp_path, "three")
    assert result["reference"]["params"] == 130_000 and 0 < result["hypervolume"] < 1
    assert all(member["params"] <= 130_000 for member in result["front"])
    directory = tmp_path / "runs" / "three"
    assert (directory / "report" / "front_params.png").is_file()
    client = MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    experiment = present(client.get_experiment_by_name("architecture search"))
    children = [run for run in client.search_runs([experiment.experiment_id]) if run.data.tags["nas.kind"] == "trial"]
    ledger = Ledger.open(ledger_url(directory / "ledger.db"), "three")
    held = {int(run.data.tags["nas.trial"]): run.data.metrics["params"] for run in children}
    assert held == {record.number: record.params for record in ledger.records if record.trained}
    other = run_script(tmp_path, "nas/search.py", "--resume", "three", "search.objectives=[val_accuracy,flops]")
    assert other.returncode == 2 and other.stderr.count("\n") == 1 and "search.objectives" in other.stderr
    picked = run_script(tmp_path, "nas/export.py", "three", "--pick", "max-params=130k")
    assert picked.returncode == 0, picked.stderr
    further = run_script(tmp_path, "nas/search.py", "--resume", "three", "--trials", "4")
    assert further.returncode == 0, further.stderr
    again = Ledger.open(ledger_url(directory / "ledger.db"), "three")
    # The commands that go on from here name no limit.
    assert len(again.records) >= 4 and again.header.search.trials == 4
