"""A new search that begins with the results of another."""

import random
import shutil
from pathlib import Path

import pytest

from nas.driver.checks import check_ledger
from nas.driver.command_line import read_command
from nas.driver.open_ledger import search_ledger
from nas.engine.engine import Engine
from nas.engine.start import start_engine
from nas.ledger.database import ledger_url
from nas.ledger.forking import beyond_imports, check_whole, taken_over
from nas.ledger.ledger import Ledger
from nas.ledger.trial_codec import owner_of
from nas.records.cost_limits import NO_LIMITS
from nas.records.front import front_of
from nas.records.summary import summarise
from nas.records.trial import Outcome, TrialRecord
from nas.settings.command import Command
from nas.settings.header import ForkOrigin
from nas.settings.run_directory import RunDirectory, run_directory
from search_spaces.errors import UserError
from tests.entries.test_search import SMALL, run, summary
from tests.support.bundles import inference_cost
from tests.support.searches import epoch_result, search_header, search_settings, tiny_space, trial_record
from trainers.checkpoint import newest_sound_checkpoint, save_checkpoint
from trainers.data.datasets import check_data, examine_data

# `tests.support.searches.tiny_space` on the command line, and its half without attention in the first stage.
TINY = [
    "data=digits", "space.stem=[convolution]", "space.depth=[14]", "space.width=[0.125]",
    "space.stages.spatial_extent=[3]", "space.stages.heads=[2]", "space.stages.positional_encoding=[none]",
]  # fmt: skip
HALF = "space.stage1.operator=[convolution]"
EPOCHS, OLD = 2, 5


def begin(runs: Path, *arguments: str) -> tuple[Command, RunDirectory, Ledger]:
    """A search with its ledger, as its driver begins with it."""
    command = read_command([*arguments, "--runs-dir", str(runs)])
    directory = run_directory(str(runs), command.name)
    data = examine_data(command.data)
    check_ledger(command, directory, data)
    return command, directory, search_ledger(command, directory, data, 1)


def engine_of(command: Command, ledger: Ledger) -> Engine:
    settings = beyond_imports(command.search, ledger.records)
    return start_engine(ledger, command.space, check_data(command.data), settings, command.training.epochs)


def train(engine: Engine, directory: RunDirectory, limit: int = 1000) -> list[int]:
    """Has a search train what it asks for, with accuracies that follow from the architecture. The trials' numbers."""
    trained: list[int] = []
    while len(trained) < limit and (assignment := engine.next_assignment()) is not None:
        trained.append(assignment.number)
        for epoch in range(assignment.recorded_epochs + 1, engine.epochs + 1):
            accuracy = 0.5 + int(assignment.architecture.id[:4], 16) / 2**18 + 0.01 * epoch
            save_checkpoint(directory.checkpoints(assignment.number), epoch, {"epoch": epoch})
            if not engine.report_epoch(assignment.number, epoch_result(epoch, accuracy)):
                break
    return trained


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs directory of the search `old` of five architectures, all trained to the end."""
    runs = tmp_path_factory.mktemp("finished")
    command, directory, ledger = begin(
        runs, "--space", "resnet_stages", "--name", "old", *TINY, f"training.epochs={EPOCHS}", "search.scheduler=none",
        "--trials", str(OLD),
    )  # fmt: skip
    train(engine_of(command, ledger), directory)
    return runs


@pytest.fixture
def runs(finished: Path, tmp_path: Path) -> Path:
    """A copy of `finished` of a test's own."""
    shutil.copytree(finished, tmp_path / "runs")
    return tmp_path / "runs"


def old_ledger(runs: Path) -> Ledger:
    return Ledger.open(ledger_url(run_directory(str(runs), "old").ledger), "old")


def known(records: tuple[TrialRecord, ...]) -> set[tuple[str, tuple[float, ...], int, int]]:
    return {
        (record.architecture.id, tuple(epoch.val_accuracy for epoch in record.epochs), record.flops, record.seed)
        for record in records
        if record.outcome == "finished"
    }


def test_a_fork_begins_with_all_results_and_trains_as_many_more(runs: Path) -> None:
    old = old_ledger(runs)
    old.record_inference(3, inference := inference_cost())
    before = [record.to_json() for record in old.records]
    command, target, ledger = begin(runs, "--resume", "old", "--fork", "new", "--trials", "2")
    assert known(ledger.records) == known(old.records) and len(ledger.records) == OLD
    assert [record.number for record in ledger.records] == list(range(OLD))
    assert {record.imported_from for record in ledger.records} == {f"old/{record.number}" for record in old.records}
    assert [record for record in ledger.records if record.inference == inference] == [ledger.record(3)]
    assert [record.anchor for record in ledger.records] == [record.anchor for record in old.records]
    assert ledger.search_id != old.search_id
    assert Ledger.open(ledger_url(target.ledger), "new").records == ledger.records
    engine = engine_of(command, ledger)
    assert train(engine, target) == [OLD, OLD + 1]
    ids = [record.architecture.id for record in ledger.records]
    assert len(set(ids)) == len(ids) == OLD + 2
    summary = summarise(ledger.records, engine.reference)
    assert (summary.architectures_trained, summary.results_imported, summary.counts["finished"]) == (2, OLD, OLD + 2)
    assert {record.number for record in summary.front} == {record.number for record in front_of(ledger.records)}
    # The old search is as it was, and goes on on its own.
    assert [record.to_json() for record in old_ledger(runs).records] == before


def test_limits_on_epochs_leave_out_what_was_taken_over(runs: Path) -> None:
    command, target, ledger = begin(runs, "--resume", "old", "--fork", "new", "--epochs", str(2 * EPOCHS))
    assert len(train(engine_of(command, ledger), target)) == 2
    resumed = read_command(["--resume", "new", "--runs-dir", str(runs), "--epochs", str(3 * EPOCHS)])
    assert len(train(engine_of(resumed, Ledger.open(ledger_url(target.ledger), "new")), target)) == 1


def test_what_the_new_space_or_limit_rules_out_is_left_behind(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = old_ledger(runs)
    command, target, ledger = begin(runs, "--resume", "old", "--fork", "half", HALF)
    fits = [record for record in old.records if record.architecture.stages[0][0].label == "C"]
    assert 0 < len(fits) < OLD and known(ledger.records) == known(tuple(fits))
    assert f"{len(fits)} results of old taken over; {OLD - len(fits)} left out" in capsys.readouterr().out
    # All 8 architectures of the half are found, and no more.
    train(engine_of(command, ledger), target)
    assert {record.architecture.id for record in ledger.records if record.trained} >= {r.architecture.id for r in fits}
    assert sum(record.trained for record in ledger.records) == 8
    limit = sorted(record.flops for record in old.records)[3]
    _, _, limited = begin(runs, "--resume", "old", "--fork", "limited", "--max-flops", str(limit))
    assert {record.flops for record in limited.records} == {r.flops for r in old.records if r.flops <= limit}


def test_only_finished_trials_are_taken_over_and_where_they_come_from_is_kept() -> None:
    space = tiny_space()
    architectures = [space.sample(random.Random(seed)) for seed in range(6)]
    outcomes: tuple[Outcome, ...] = ("finished", "stopped", "held", "running", "failed")
    records = [
        trial_record(number, (0.5,), outcome=outcome, architecture=architecture, deaths=1)
        for number, (outcome, architecture) in enumerate(zip(outcomes, architectures, strict=False))
    ]
    twice = trial_record(7, (0.5,), architecture=architectures[0], replicate=1, imported_from="older/3")
    taken = taken_over([*records, twice], "old", space, NO_LIMITS)
    assert [(record.number, record.imported_from, record.replicate) for record in taken.results] == [
        (0, "old/0", 0), (1, "older/3", 1),
    ]  # fmt: skip
    assert taken.left_out == 0 and all(record.deaths == 0 for record in taken.results)


def test_the_weights_of_the_front_come_along(runs: Path) -> None:
    for keep in ("front", "all", "none"):
        _, target, ledger = begin(runs, "--resume", "old", "--fork", keep, f"search.keep_checkpoints={keep}")
        wanted = {"front": front_of(ledger.records), "all": ledger.records, "none": []}[keep]
        weights = {
            record.number: newest_sound_checkpoint(target.checkpoints(record.number)) for record in ledger.records
        }
        assert {number for number, found in weights.items() if found} == {record.number for record in wanted}
        assert all(found == (EPOCHS, {"epoch": EPOCHS}) for found in weights.values() if found)


def test_a_fork_that_was_cut_off_is_not_gone_on_with(tmp_path: Path) -> None:
    header = search_header(forked_from=ForkOrigin("old", "0", "abc", 2))
    ledger = Ledger.create(ledger_url(tmp_path / "ledger.db"), "new", header)
    with pytest.raises(UserError, match="0 of 2 results of 'old'"):
        check_whole(ledger)
    space = tiny_space()
    records = [trial_record(n, architecture=a) for n, a in enumerate(space.anchors())]
    ledger.take_over(taken_over(records, "old", space, NO_LIMITS).results, space)
    check_whole(ledger)
    check_whole(Ledger.open(ledger_url(tmp_path / "ledger.db"), "new"))


def test_a_fork_that_was_cut_off_is_made_by_the_same_command(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []

    def cut_off(number: int) -> str:
        written.append(number)
        if len(written) == 10:
            raise KeyboardInterrupt
        return owner_of(number)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("nas.ledger.new_trials.owner_of", cut_off)
        begin(runs, "--resume", "old", "--fork", "new")
    assert written and not run_directory(str(runs), "new").has_ledger
    _, _, ledger = begin(runs, "--resume", "old", "--fork", "new")
    check_whole(ledger)
    assert known(ledger.records) == known(old_ledger(runs).records)


def test_a_name_that_is_taken_is_refused_before_anything_starts(runs: Path) -> None:
    with pytest.raises(UserError, match="a search named 'old' exists already"):
        begin(runs, "--resume", "old", "--fork", "old")


def test_limits_of_a_search_that_took_nothing_over_stay() -> None:
    settings = search_settings(trials=5, epochs=9)
    assert beyond_imports(settings, [trial_record(0), trial_record(1)]) == settings
    imported = [trial_record(0, (0.1, 0.2), imported_from="old/1"), trial_record(1, (0.1,))]
    assert beyond_imports(settings, imported) == search_settings(trials=6, epochs=11)


@pytest.mark.slow
def test_a_search_is_forked_and_a_result_that_it_took_over_exported(tmp_path: Path) -> None:
    small = ["--space", "resnet_stages", "--name", "old", "--trials", "2", *SMALL]
    for command in (small, ["--resume", "old", "--fork", "new", "--trials", "1", "space.stages.heads=[1]"]):
        done = run(tmp_path, "nas/search.py", *command)
        assert done.returncode == 0, done.stderr
    assert "1 architecture beside" in done.stdout and "taken over" in done.stdout
    result = summary(tmp_path, "new")
    taken = [member for member in result["front"] if member["imported_from"]]
    assert result["architectures_trained"] == 1 and result["results_imported"] == result["counts"]["finished"] - 1
    choice = f"trial={taken[0]['number']}"
    exported = run(tmp_path, "nas/export.py", "new", "--pick", choice, "--out", "bundle")
    assert exported.returncode == 0, exported.stderr
    old = summary(tmp_path, "old")["front"]
    assert taken[0]["architecture_id"] in {member["architecture_id"] for member in old}
    changed = run(tmp_path, "nas/search.py", "--resume", "new", "space.depth=[26]")
    assert changed.returncode == 2 and "space.depth: [14] -> [26]" in changed.stderr
    assert changed.stderr.count("\n") == 1 and changed.stdout == ""
    again = run(tmp_path, "nas/search.py", "--resume", "new", "--trials", "2", "search.keep_checkpoints=none")
    assert again.returncode == 0, again.stderr
    assert summary(tmp_path, "new")["architectures_trained"] == 2
    assert list((tmp_path / "runs" / "new").glob("checkpoints/*")) == []
    # Its description can be exported without the weights.
    assert "nas/export.py new --pick knee" in again.stdout
    bare = run(tmp_path, "nas/export.py", "new", "--pick", "knee", "--out", "bare")
    assert bare.returncode == 0 and (tmp_path / "bare").is_dir(), bare.stderr
    assert not list((tmp_path / "bare").glob("*.safetensors"))
