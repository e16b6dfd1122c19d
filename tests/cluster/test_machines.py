"""A search on four machines with networks, mounts and processes of their own, each of which goes wrong in its way."""

import functools
from pathlib import Path

import pytest

from nas.ledger.location import read_ledger
from nas.settings.run_directory import run_directory
from tests.cluster.chaos import FULL_EPOCHS, NAME, SEARCH, ChaoticSearch
from tests.cluster.chaos_account import found_wrong, table
from tests.support.images import make_images
from tests.support.network_nodes import SWITCH_ADDRESS, own_network
from tests.support.postgresql_server import mortal_postgresql_server

# In an order in which there are always enough of them left; the search is longer than all of it.
KINDS = ("loses data", "killed", "joins late", "partitioned", "head killed", "loses storage", "frozen", "another torch")
FLAGS = (*SEARCH, "--trials", "24", "search.deterministic=true")


def has_come_to(kind: str, search: ChaoticSearch) -> bool:
    """Whether something may befall a machine that trains, the last to join, or the search has ended."""
    return search.has_ended or (search.feasible(kind) and search.trains(max(search.well())))


def ended_search(directory: Path, images: Path, cpus: tuple[int, ...], kinds: tuple[str, ...]) -> bytes:
    """What a search comes to on machines of so many CPUs, which all this befalls: the content of its front's file."""
    directory.mkdir()
    with own_network(), mortal_postgresql_server(address=SWITCH_ADDRESS) as server:
        search = ChaoticSearch(directory, images, server.url, flags=FLAGS, cpus=cpus, ends_itself=True)
        try:
            for kind in kinds:
                search.wait_until(functools.partial(has_come_to, kind, search))
                assert not search.has_ended, f"the search ended before this befell it: {kind}"
                search.strike(kind, max)
                search.wait_until(lambda: all(event.recovered or not event.hit for event in search.events))
            search.end()
        finally:
            search.close()
            print(table(search.events), *search.lines, sep="\n")
        run = run_directory(str(search.runs), NAME)
        records = {record.number: record for record in read_ledger(run, server.url).records}
        may_repeat = sum(event.slots for event in search.events)
        written = search.watch.written
        assert found_wrong(
            records, search.snapshots, written, search.lines, may_repeat=may_repeat, full_epochs=FULL_EPOCHS
        ) == []  # fmt: skip
        assert search.driver.returncode == 0 and not search.has_said("Traceback", 0)
        return run.front.read_bytes()


@pytest.mark.cluster
# Each look into the ledger has a connection of its own.
@pytest.mark.filterwarnings("ignore:.*AnsweredConnection:ResourceWarning")
def test_a_deterministic_search_on_machines_that_go_wrong_ends_as_on_one_machine(tmp_path: Path) -> None:
    images = make_images(tmp_path / "images", count=120)
    on_four = ended_search(tmp_path / "four", images, (1, 1, 1, 1), KINDS)
    assert on_four == ended_search(tmp_path / "one", images, (4,), ())
