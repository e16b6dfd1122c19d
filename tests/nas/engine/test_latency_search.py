"""A search on latency without Ray's workers: what it decides by, what its ledger holds, and what it finds."""

from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient

from nas.engine.engine import Engine
from nas.engine.start import start_engine
from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.records.front import front_of
from nas.records.latency_reference import LatencyReference
from nas.records.pareto import Point, hypervolume
from nas.records.trial import TrialRecord
from nas.settings.run_directory import run_directory
from search_spaces.architecture import Architecture, Attention, Operator
from search_spaces.space import Space
from search_spaces.space_cost import flops_range
from tests.entries.test_search import SMALL, summary
from tests.entries.test_search import run as run_script
from tests.support.present import present
from tests.support.searches import (
    DIGITS,
    epoch_result,
    search_header,
    search_settings,
    shipped_space,
    slow_attention_ms,
)

ON_LATENCY = ("val_accuracy", "latency_ms")
EPOCHS = 3

# 1,296 architectures: convolution or one of five kinds of attention in each of four stages.
SPACE = shipped_space(
    stem=["convolution"],
    depth=[26],
    width=[0.125],
    stages={
        "operator": ["convolution", "attention"],
        "spatial_extent": [3, 5, 7, 9, 11],
        "heads": [2],
        "positional_encoding": ["none"],
    },
)


def every_architecture(space: Space) -> list[Architecture]:
    (frame,) = space.frames()
    found: list[list[Operator]] = [[]]
    for slot in space.slots(frame):
        operators = space.stages[slot.stage].operators(slot.channels)
        found = [[*chosen, operator] for chosen in found for operator in operators]
    return [space.architecture(frame, chosen) for chosen in found]


def accuracy_of(architecture: Architecture) -> float:
    """Attention helps, the wider and the later the more. Its FLOPs are few everywhere; its latency is long early on."""
    gain = 0.0
    for worth, blocks in zip((0.02, 0.08, 0.3, 0.6), architecture.stages, strict=True):
        extents = [block.spatial_extent for block in blocks if isinstance(block, Attention)]
        gain += worth * sum(0.4 + 0.05 * extent for extent in extents) / len(blocks)
    return 0.6 + 0.3 * gain


def new_engine(directory: Path, name: str, objectives: tuple[str, str], **settings: object) -> Engine:
    """An engine whose ledger has a latency reference, where it needs one: the slowest of the space."""
    wanted = search_settings(objectives=objectives, sampler="ehvi", **settings)
    ledger = Ledger.create(ledger_url(directory / f"{name}.db"), name, search_header(search=wanted))
    if wanted.on_latency:
        slowest = max(every_architecture(SPACE), key=slow_attention_ms)
        ledger.record_latency_reference(LatencyReference(slowest, slow_attention_ms(slowest), 1))
    return start_engine(ledger, SPACE, DIGITS, wanted, EPOCHS)


def run(engine: Engine) -> None:
    """Trains every assignment one after the other; each is measured before it trains."""
    while (assignment := engine.next_assignment()) is not None:
        if engine.settings.on_latency:
            engine.report_latency(assignment.number, slow_attention_ms(assignment.architecture))
        final = accuracy_of(assignment.architecture)
        for epoch in range(assignment.recorded_epochs + 1, EPOCHS + 1):
            if not engine.report_epoch(assignment.number, epoch_result(epoch, final - 0.2 / epoch + 0.2 / EPOCHS)):
                break
    engine.conclude()


def latency_point(architecture: Architecture) -> Point:
    return accuracy_of(architecture), slow_attention_ms(architecture)


def share(records: tuple[TrialRecord, ...], truth: float, reference: Point) -> float:
    """Of the true hypervolume on accuracy and latency."""
    finished = [latency_point(record.architecture) for record in records if record.outcome == "finished"]
    return hypervolume(finished, reference) / truth


def test_the_front_of_latency_is_found_and_that_of_flops_is_another(tmp_path: Path) -> None:
    on_latency = new_engine(tmp_path, "latency", ON_LATENCY, trials=20)
    on_flops = new_engine(tmp_path, "flops", ("val_accuracy", "flops"), trials=20)
    run(on_latency)
    run(on_flops)
    reference = on_latency.reference
    truth = hypervolume([latency_point(one) for one in every_architecture(SPACE)], reference)
    assert share(on_latency.records, truth, reference) > 0.96
    assert share(on_latency.records, truth, reference) > share(on_flops.records, truth, reference) + 0.02
    front = front_of(on_latency.records)
    assert [record.point for record in front] == [latency_point(record.architecture) for record in front]


def test_the_ledger_keeps_the_first_measurement(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, "kept", ON_LATENCY, trials=4, scheduler="none")
    number = present(engine.next_assignment()).number
    assert engine.records[number].latency_ms is None
    engine.report_latency(number, 1.25)
    engine.report_latency(number, 9.0)
    assert engine.records[number].latency_ms == 1.25
    assert Ledger.open(ledger_url(tmp_path / "kept.db"), "kept").records == engine.records
    for epoch in range(1, EPOCHS + 1):
        engine.report_epoch(number, epoch_result(epoch, 0.75))
    again = Ledger.open(ledger_url(tmp_path / "kept.db"), "kept")
    assert again.records == engine.records and again.records[number].point == (0.75, 1.25)
    assert again.latency_reference == engine.ledger.latency_reference and engine.reference == (
        0.1,
        present(again.latency_reference).latency_ms,
    )
    study = optuna.load_study(study_name="kept", storage=ledger_url(tmp_path / "kept.db"))
    assert study.trials[number].values == [0.75, 1.25]


def test_the_limit_on_flops_stays_one_on_flops(tmp_path: Path) -> None:
    low, high = flops_range(SPACE, image_size=16, in_channels=1, classes=10)
    limit = low + 0.5 * (high - low)
    engine = new_engine(tmp_path, "limited", ON_LATENCY, trials=4, max_flops=limit)
    run(engine)
    trained = [record for record in engine.records if record.trained]
    assert len(trained) == 4 and all(record.flops <= limit for record in trained)


@pytest.mark.slow
def test_a_real_search_on_latency(tmp_path: Path) -> None:
    """Searched, cut short, gone on with and shown: every trial is measured once, and all views go by that."""
    arguments = ("--space", "resnet_stages", "--name", "fast", *SMALL, "search.objectives=[val_accuracy,latency_ms]")
    first = run_script(tmp_path, "nas/search.py", *arguments, "--trials", "2")
    assert first.returncode == 0, first.stderr
    url = ledger_url(run_directory(str(tmp_path / "runs"), "fast").ledger)
    before = Ledger.open(url, "fast")
    latencies = [record.latency_ms for record in before.records]
    assert len(latencies) == 2 and all(latency is not None and latency > 0 for latency in latencies)
    done = run_script(tmp_path, "nas/search.py", "--resume", "fast", "--trials", "4")
    assert done.returncode == 0, done.stderr
    ledger = Ledger.open(url, "fast")
    assert (
        ledger.latency_reference == before.latency_reference and [r.latency_ms for r in ledger.records[:2]] == latencies
    )
    result = summary(tmp_path, "fast")
    assert result["reference"] == {"val_accuracy": 0.1, "latency_ms": present(ledger.latency_reference).latency_ms}
    costs = [member["latency_ms"] for member in result["front"]]
    assert costs == sorted(costs) and all(member["inference_latency_ms"] > 0 for member in result["front"])
    client = MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    experiment = present(client.get_experiment_by_name("architecture search"))
    children = [run for run in client.search_runs([experiment.experiment_id]) if run.data.tags["nas.kind"] == "trial"]
    held = {int(run.data.tags["nas.trial"]): run.data.metrics["latency_ms"] for run in children}
    assert held == {record.number: record.latency_ms for record in ledger.records if record.trained}
    page = (tmp_path / "runs" / "fast" / "report" / "front.html").read_text(encoding="utf-8")
    assert "with less latency" in page and '<option value="latency_ms" selected>' in page
    listed = run_script(tmp_path, "nas/export.py", "fast", "--list")
    assert listed.returncode == 0 and "latency" in listed.stdout.splitlines()[0].split()
