"""A search that is told of others: it proposes by what they found, and its results are its own."""

from pathlib import Path

import pytest

from nas.driver.checks import check_search
from nas.driver.command_line import read_command
from nas.driver.earlier_searches import earlier_searches
from nas.settings.run_directory import run_directory
from search_spaces.errors import UserError
from tests.nas.ledger.test_forking import HALF, TINY, begin, engine_of, train

OLD = 6


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs directory with a search that has ended, and one that has trained nothing."""
    directory = tmp_path_factory.mktemp("runs")
    for name, trials in (("old", OLD), ("empty", 0)):
        command, of_search, ledger = begin(
            directory, "--space", "resnet_stages", *TINY, "training.epochs=2", "--trials", str(OLD), "--name", name
        )
        train(engine_of(command, ledger), of_search, trials)
    return directory


def new(runs: Path, *arguments: str, name: str = "new") -> list[str]:
    return ["--space", "resnet_stages", *TINY, "training.epochs=3", "--name", name, "--runs-dir", str(runs), *arguments]


def test_what_others_found_is_kept_and_is_no_result(runs: Path) -> None:
    command, directory, ledger = begin(runs, *new(runs, "--prior", "old", "--seed", "7", "--trials", "5", name="told"))
    (earlier,) = ledger.header.earlier
    assert earlier.name == "old" and len(earlier.results) == OLD and ledger.records == ()
    engine = engine_of(command, ledger)
    train(engine, directory)
    assert sum(record.trained for record in engine.records) == 5
    assert all(record.imported_from is None for record in engine.records)
    again = read_command(["--resume", "told", "--runs-dir", str(runs)])
    assert again.search.prior == ("old",) and earlier_searches(again) == (earlier,)


def test_once_begun_a_search_needs_the_others_no_more_and_learns_of_no_more(runs: Path) -> None:
    begin(runs, *new(runs, "--prior", "old", name="on-its-own"))
    (runs / "old").rename(runs / "away")
    try:
        again = read_command(["--resume", "on-its-own", "--runs-dir", str(runs)])
        assert [search.name for search in earlier_searches(again)] == ["old"]
    finally:
        (runs / "away").rename(runs / "old")
    with pytest.raises(UserError, match=r"search.prior: \[old\] -> \[empty\].*--fork NEW"):
        read_command(["--resume", "on-its-own", "--runs-dir", str(runs), "--prior", "empty"])


def test_a_fork_knows_what_its_own_space_holds_of_it(runs: Path) -> None:
    begin(runs, *new(runs, "--prior", "old", name="whole"))
    (told,) = earlier_searches(read_command(["--resume", "whole", "--runs-dir", str(runs)]))
    command, directory, ledger = begin(runs, "--resume", "whole", "--fork", "half", HALF, "--trials", "3")
    (left,) = ledger.header.earlier
    assert left.name == "old" and 0 < len(left.results) < len(told.results)
    assert set(left.results) < set(told.results)
    assert len(train(engine_of(command, ledger), directory)) == 3
    elsewhere = read_command(["--resume", "whole", "--fork", "none", "space.depth=[26]", "--runs-dir", str(runs)])
    assert earlier_searches(elsewhere) == ()


def test_of_another_space_what_both_hold_is_taken(runs: Path) -> None:
    whole, half = (earlier_searches(read_command(new(runs, "--prior", "old", *more))) for more in ((), (HALF,)))
    assert 0 < len(half[0].results) < len(whole[0].results)
    assert set(half[0].results) < set(whole[0].results)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prior", "odl"], "unknown search 'odl'.*Did you mean 'old'"),
        (["--prior", ""], "argument --prior: is '': expected the name of a search"),
        (["--prior", "empty"], "--prior empty: it has trained nothing to the end yet: expected a search with results."),
        (["--prior", "old", "space.depth=[26]"], "--prior old: none of the 6 architectures"),
        (["--prior", "old", "--prior", "old"], "--prior old is given twice"),
        (["--prior", "old", "search.sampler=tpe"], "search.sampler is 'tpe': expected 'ehvi'"),
        (["--prior", "../old"], r"search name '\.\./old'"),
    ],
)
def test_mistakes_are_said_before_anything_is_begun(runs: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        command = read_command(new(runs, *arguments))
        check_search(command, run_directory(str(runs), "new"))
    assert not (runs / "new").exists()
