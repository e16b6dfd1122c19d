"""Searches that are replayed on trained curves, on a table of six networks whose answers are known by hand."""

import csv
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from nas.driver.command_line import read_command
from nas.strategy.posterior import TrialView
from search_spaces.space import Value
from tests.benchmarks.peers import PEERS, is_installed
from tests.benchmarks.samplers import OPTUNA, SAMPLERS, OptunaSampler
from tests.benchmarks.schedule import schedule_of
from tests.benchmarks.search_quality import main, one_run
from tests.benchmarks.simulation import NoRungs, curves_of, simulate
from tests.benchmarks.table import Table, read_table
from tests.benchmarks.table_source import Exhausted, TableSource
from tests.benchmarks.trained_table import columns, header
from trainers.data.config import DATA_DEFAULTS

SPACE = [
    "data=digits",
    "training.epochs=9",
    "space.stem=[convolution]",
    "space.depth=[14,26]",
    "space.width=[0.0625]",
    "space.stages.operator=[convolution]",
    "space.stages.spatial_extent=[3,5]",
    "space.stages.heads=[1]",
    "space.stages.positional_encoding=[none]",
    "space.stage3.operator=[convolution,attention]",
    "space.stage4.operator=[convolution,attention]",
]
FIRST_SEED = [10, 20, 30, 40, 50, 60, 70, 80, 90]
# Depth, extents of stages 3 and 4 (None: a convolution), FLOPs, and per cent after each epoch.
NETWORKS = {
    "a": (14, None, None, 100, FIRST_SEED),
    "b": (14, None, 3, 200, [15, 25, 35, 45, 55, 65, 75, 85, 92]),
    "c": (14, 3, 3, 300, [12, 22, 32, 42, 52, 62, 72, 82, 91]),
    "d": (14, 3, 5, 400, [18, 28, 38, 48, 58, 68, 78, 88, 96]),
    "e": (26, 5, 5, 500, [11, 21, 31, 41, 51, 61, 71, 81, 97]),
    "f": (26, 5, 3, 600, [16, 26, 36]),
}
ROWS = {name: row for row, name in enumerate(NETWORKS)}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """f diverges in its fourth epoch; a was trained with another seed, which ends at 94 %."""
    command = read_command(["--space", "resnet_stages", *SPACE])
    names = columns(command.space, 9)
    found = tmp_path_factory.mktemp("replay") / "trained.csv"
    trainings = [(name, 0, *network) for name, network in NETWORKS.items()]
    trainings.insert(0, ("a", 1, *NETWORKS["a"][:4], [*FIRST_SEED[:8], 94]))
    with found.open("w", encoding="utf-8", newline="") as file:
        file.write(header(command))
        table = csv.DictWriter(file, names, restval="", lineterminator="\n")
        table.writeheader()
        for name, seed, depth, third, fourth, flops, accuracies in trainings:
            row: dict[str, object] = {"architecture": name, "seed": seed, "choice_depth": depth}
            for stage, extent in (("stage3", third), ("stage4", fourth)):
                row[f"choice_{stage}.operator"] = "convolution" if extent is None else "attention"
                row[f"choice_{stage}.spatial_extent"] = "" if extent is None else extent
            row |= {f"val_accuracy_{epoch}": value for epoch, value in enumerate(accuracies, 1)}
            row |= {"flops": flops, "params": 10 * flops, "epoch_seconds": flops / 100 + seed}
            table.writerow({column: row.get(column, "") for column in names})
        file.write("g,0,14")
    return found


@pytest.fixture(scope="module")
def table(path: Path) -> Table:
    return read_table(path)


def test_a_row_has_the_mean_of_its_seeds_and_a_search_sees_one_of_them(table: Table) -> None:
    assert list(table.domains) == [
        *("depth", "stage3.operator", "stage3.spatial_extent", "stage4.operator", "stage4.spatial_extent")
    ]
    assert table.rows[0] == (14, "convolution", None, "convolution", None)
    assert table.rows[3] == (14, "attention", 3, "attention", 5)
    assert table.accuracy.tolist() == pytest.approx([0.92, 0.92, 0.91, 0.96, 0.97, 0.0])
    assert table.flops.tolist() == [100, 200, 300, 400, 500, 600]
    seen = {float(table.seen_by(seed).observed[0]) for seed in range(20)}
    assert seen == {0.9, 0.94}
    for seed in range(3):
        drawn = table.seen_by(seed)
        assert drawn.observed[1:5].tolist() == pytest.approx([0.92, 0.91, 0.96, 0.97]) and math.isnan(drawn.observed[5])
        curves = curves_of(drawn, 9, seed)
        assert curves.accuracies[0, :8].tolist() == pytest.approx([value / 100 for value in FIRST_SEED[:8]])
        assert curves.accuracies[0, 8] == drawn.observed[0]
        assert curves.epoch_seconds.tolist() == [1.5, 2, 3, 4, 5, 6]
        assert [curves.diverges_in(row) for row in range(6)] == [None] * 5 + [4]


def test_rungs_and_resolution_are_those_of_a_search_on_the_data(table: Table) -> None:
    assert table.schedule.rungs == (2, 6) and table.schedule.epochs == 9
    # A quarter of 1,797 less 359 for the test.
    assert 0.5 / table.schedule.resolution == pytest.approx(0.25 * (1797 - 359), abs=1)
    assert schedule_of(DATA_DEFAULTS["cluttered_digits"], 15).rungs == (6,)


class InOrder:
    """Proposes rows as they stand."""

    duplicates = 0

    def __init__(self) -> None:
        self.proposal_seconds: list[float] = []
        self.heard: list[tuple[int, float | None]] = []

    def propose(self, trials: Sequence[TrialView]) -> int:
        if len(trials) == len(NETWORKS):
            raise Exhausted
        return len(trials)

    def finished(self, index: int, accuracy: float) -> None:
        self.heard.append((index, accuracy))

    def stopped(self, index: int) -> None:
        self.heard.append((index, None))


class Rungs(NoRungs):
    """Stops what has less than 25 %, and promotes it when everything was proposed."""

    def __init__(self, keeps_held: bool) -> None:
        self.keeps_held = keeps_held
        self.seen: list[tuple[int, tuple[float, ...]]] = []
        self.trials: Sequence[TrialView] = ()

    def rungs(self) -> tuple[int, ...]:
        return 2, 6

    def should_continue(self, number: int, trials: Sequence[TrialView], epochs_left: float) -> bool:
        self.seen.append((number, trials[number].accuracies))
        return trials[number].accuracies[-1] >= 0.25

    def promotion(self, trials: Sequence[TrialView], epochs_left: float) -> int | None:
        self.trials = list(trials)
        held = [trial.number for trial in trials if trial.status == "held" and len(trial.accuracies) == 2]
        return held[0] if held and len(trials) == len(NETWORKS) else None


def replayed(table: Table, rungs: NoRungs, workers: int, most_epochs: float) -> tuple[InOrder, list[tuple[int, int]]]:
    sampler = InOrder()
    curves = curves_of(table, 9, 0)
    run = simulate(TableSource(table), curves, sampler, rungs, workers=workers, most_epochs=most_epochs)
    return sampler, run.finished


def test_epochs_are_spent_as_the_table_has_them_and_a_diverged_training_fails(table: Table) -> None:
    drawn = table.seen_by(0)
    sampler, finished = replayed(drawn, NoRungs(), 1, 54)
    assert finished == [(9, 0), (18, 1), (27, 2), (36, 3), (45, 4)]
    assert [index for index, _ in sampler.heard] == [*range(6)] and sampler.heard[5] == (5, None)
    assert [accuracy for _, accuracy in sampler.heard[1:5]] == pytest.approx([0.92, 0.91, 0.96, 0.97])
    # Two workers: a ends at 13.5 s, b at 18 s, c at 40.5, d at 54, f, which begins then, fails at 78, e at 85.5.
    sampler, finished = replayed(drawn, NoRungs(), 2, 54)
    assert finished == [(9, 0), (18, 1), (27, 2), (36, 3), (49, 4)]
    assert [index for index, _ in sampler.heard] == [0, 1, 2, 3, 5, 4]
    # No training begins that would not be done.
    assert replayed(drawn, NoRungs(), 2, 26)[1] == [(9, 0), (18, 1)]


def test_trials_wait_at_rungs_with_the_accuracies_of_their_own_curves(table: Table) -> None:
    rungs = Rungs(keeps_held=True)
    sampler, finished = replayed(table.seen_by(0), rungs, 1, 54)
    of_b = 0.15, 0.25, 0.35, 0.45, 0.55, 0.65
    assert rungs.seen[:4] == [(0, (0.1, 0.2)), (1, of_b[:2]), (1, of_b), (2, (0.12, 0.22))]
    # a 2, b 9, c 2, d 9, e 2, f 4 epochs; then a, c and e are promoted.
    assert finished == [(11, 1), (22, 3), (35, 0), (42, 2), (49, 4)]
    assert sampler.heard[2] == (5, None)
    # As in a search, what f reached before is forgotten.
    assert rungs.trials[5].status == "failed" and rungs.trials[5].accuracies == ()
    sampler, finished = replayed(table.seen_by(0), Rungs(keeps_held=False), 1, 54)
    assert finished == [(11, 1), (22, 3)]
    assert [index for index, accuracy in sampler.heard if accuracy is None] == [0, 2, 4, 5]


def test_a_proposal_goes_to_the_nearest_row_that_was_not_taken(table: Table) -> None:
    source = TableSource(table)
    wanted: dict[str, Value] = {"depth": 14, "stage3.operator": "attention", "stage3.spatial_extent": 5}
    wanted |= {"stage4.operator": "attention", "stage4.spatial_extent": 3}
    # It differs from c and f in one choice, from d and e in two, from b in operator and extent, from a in both of both.
    assert source.index_of(wanted) is None
    order = [{2, 5}, {2, 5}, {1, 3, 4}, {1, 3, 4}, {1, 3, 4}, {0}]
    first = set()
    for seed in range(12):
        source, rng, found = TableSource(table), random.Random(seed), []
        for among in order:
            row = source.row_for(wanted, rng)
            assert row in among and row not in found
            source.take(row)
            found.append(row)
        first.add(found[0])
        assert source.row_for(wanted, rng) is None and source.sample(rng) is None
    assert first == {2, 5}
    # A row that is there is itself, taken or not; what does not apply is left out.
    assert source.row_for({**source.candidate(1).choices, "stage3.spatial_extent": 5}, rng) == 1
    assert TableSource(table).nearest(wanted, rng, besides=[2]) == 5


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name not in PEERS or is_installed(name)])
def test_every_sampler_finds_every_row(table: Table, name: str) -> None:
    for schedule, method in ((table.schedule.of_results(), name), (table.schedule, f"{name}+asha")):
        drawn = table.seen_by(1)
        run = one_run(drawn, (0.5, 700.0), method, 1, 2, schedule, 6 * schedule.epochs)
        rows = [row for _, row in run.finished]
        assert sorted(set(rows)) == sorted(rows) and 5 not in rows
        assert len(rows) == 5 or method != name


@pytest.mark.parametrize("integers", [False, True])
def test_a_sampler_learns_of_the_row_that_was_trained(table: Table, integers: bool) -> None:
    source = TableSource(table)
    make, _ = OPTUNA["random"]
    sampler = OptunaSampler(make(0, False), source, 0, integers)
    for _ in range(6):
        source.take(row := sampler.propose([]))
        sampler.finished(row, 0.5)
        learned = sampler._study.trials[-1]
        parameters = {name: learned.params[name] for name in source.candidate(row).choices}
        values = {name: table.domains[name][value] if integers else value for name, value in parameters.items()}
        assert values == source.candidate(row).choices and learned.values == [0.5, table.flops[row]]
    with pytest.raises(Exhausted):
        sampler.propose([])


def test_what_was_found_is_scored_on_all_seeds(table: Table) -> None:
    """Where 90 or 94 % were seen of a, 92 % count; b and c are dominated."""
    for seed in range(4):
        drawn = table.seen_by(seed)
        run = one_run(drawn, (0.5, 700.0), "random+none", seed, 1, drawn.schedule, 54)
        expected = (0.92 - 0.5) * 600 + (0.96 - 0.92) * 300 + (0.97 - 0.96) * 200
        assert run.hypervolume_after(54, drawn, (0.5, 700.0)) == pytest.approx(expected)
        assert table.hypervolume((0.5, 700.0)) == pytest.approx(expected)


def test_the_program_knows_such_a_table(path: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    call = ["--table", f"{path}@50/700", "--seeds", "2", "--evaluations", "25", "--json", str(out)]
    methods = ["ehvi+pareto", "random+none", "random+mo-asha", "tpe+hyperband"]
    assert main([*call, "--curves", "--methods", *methods]) == 0
    printed = capsys.readouterr().out
    assert "6 networks, reference 50.00 % and 700 FLOPs" in printed
    assert "epochs of 9 a full training, rungs at 2, 6" in printed
    results = json.loads(out.read_text(encoding="utf-8"))
    assert list(results) == methods and results["random+none"]["hypervolume_at"] == {"25": pytest.approx([1.0, 1.0])}
    assert main([*call, "--methods", "ehvi", "random"]) == 0
    results = json.loads(out.read_text(encoding="utf-8"))
    assert all(result["hypervolume_at"] == {"25": pytest.approx([1.0, 1.0])} for result in results.values())

    capsys.readouterr()
    assert main([*call, "--observe", "accuracy_run1"]) == 2
    assert "one training of each network is seen anyway" in capsys.readouterr().err
    broken = tmp_path / "broken.csv"
    broken.write_text('# {"space": 1}\narchitecture\n', encoding="utf-8")
    assert main(["--table", str(broken)]) == 2
    error = capsys.readouterr().err
    assert "broken.csv': expected one of trained_table.py" in error and error.count("\n") == 1
