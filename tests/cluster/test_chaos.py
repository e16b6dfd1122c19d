"""Whatever befalls the machines of a search, in any order: every epoch of it is accounted for.

make chaos has 20 events, in about half an hour; NAS_CHAOS_EVENTS and NAS_CHAOS_SEED choose how many, and which.
"""

import functools
import os
import random
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from nas.ledger.location import read_ledger
from nas.records.summary import summarise
from nas.records.trial import TrialRecord
from nas.settings.run_directory import run_directory
from tests.cluster.chaos import FULL_EPOCHS, KINDS, NAME, ChaoticSearch
from tests.cluster.chaos_account import found_wrong, table, trained_again
from tests.support.images import make_images
from tests.support.mlflow_contents import check_all_there_once
from tests.support.network_nodes import SWITCH_ADDRESS, own_network
from tests.support.postgresql_server import mortal_postgresql_server
from tests.support.searches import trial_record

SECONDS_BETWEEN = (5.0, 60.0)
FINISHED = trial_record(0, [0.5] * FULL_EPOCHS)
LACKING = ["trial 0: its checkpoints end with epoch 2 of the 6 that are recorded: those since were trained again"]


def drawn(events: int, rng: random.Random) -> list[str]:
    """The kinds of so many events, each about as often as the others, in any order."""
    rounds = -(-events // len(KINDS))
    return [kind for _ in range(rounds) for kind in rng.sample(KINDS, len(KINDS))][:events]


@pytest.mark.chaos
# Each look into the ledger has a connection of its own.
@pytest.mark.filterwarnings("ignore:.*AnsweredConnection:ResourceWarning")
def test_every_epoch_of_a_search_on_machines_that_misbehave_is_accounted_for(tmp_path: Path) -> None:
    count = int(os.environ.get("NAS_CHAOS_EVENTS", "20"))
    seed = int(os.environ.get("NAS_CHAOS_SEED", random.randrange(10**6)))
    print(f"\n{count} events, NAS_CHAOS_SEED={seed}", flush=True)
    rng = random.Random(seed)
    left = drawn(count, rng)
    images = make_images(tmp_path / "images", count=120)
    with own_network(), mortal_postgresql_server(address=SWITCH_ADDRESS) as server:
        search = ChaoticSearch(tmp_path, images, server.url)
        try:
            search.wait_until(lambda: sum(bool(record.epochs) for record in search.records().values()) >= 3)
            while left:
                pause = time.monotonic() + rng.uniform(*SECONDS_BETWEEN)
                search.wait_until(lambda until=pause: time.monotonic() > until)  # type: ignore[misc]
                search.wait_until(lambda: any(map(search.feasible, left)))
                kind = next(filter(search.feasible, left))
                left.remove(kind)
                print(f"{time.strftime('%H:%M:%S')} {kind}", flush=True)
                search.strike(kind, rng.choice)
            search.end()
            print(table(search.events), flush=True)
        finally:
            search.close()
            print("\n".join(f"{time.strftime('%H:%M:%S', time.localtime(at))} {line}" for at, line in search.said))
        directory = run_directory(str(search.runs), NAME)
        ledger = read_ledger(directory, server.url)
        records = {record.number: record for record in ledger.records}
        assert search.driver.returncode == 0 and not search.has_said("Traceback", 0)
        assert len(search.events) == count
        assert [event for event in search.events if event.hit and event.recovered is None] == []
        may_repeat = sum(event.slots for event in search.events)
        written = search.watch.written
        assert found_wrong(
            records, search.snapshots, written, search.lines, may_repeat=may_repeat, full_epochs=FULL_EPOCHS
        ) == []  # fmt: skip
        # The watch has seen what was trained.
        trained = {(number, epoch.epoch) for number, record in records.items() for epoch in record.epochs}
        assert len(trained & set(written)) > len(trained) / 2
        store = f"sqlite:///{search.runs / 'mlflow.db'}"
        reference = ledger.header.facts(NAME, None).reference
        check_all_there_once(store, "architecture search", ledger.records, summarise(ledger.records, reference))
    again = trained_again(written, search.lines)
    print(f"{len(trained)} epochs of {len(records)} trials, {again} trained again")


def test_each_kind_of_event_is_drawn_as_often_as_the_others() -> None:
    kinds = Counter(drawn(20, random.Random(1)))
    assert set(kinds) == set(KINDS) and max(kinds.values()) - min(kinds.values()) <= 1
    assert drawn(20, random.Random(1)) == drawn(20, random.Random(1)) != drawn(20, random.Random(2))


def test_what_is_not_accounted_for_is_found() -> None:
    again = replace(FINISHED, epochs=(replace(FINISHED.epochs[0], epoch_seconds=9.0), *FINISHED.epochs[1:]))
    short, twice = replace(FINISHED, epochs=FINISHED.epochs[:-1]), replace(FINISHED, epochs=FINISHED.epochs[:1] * 2)
    stopped, failed = replace(short, outcome="stopped"), replace(short, outcome="failed")
    once, nothing = Counter({(0, 1): 1, (0, 2): 1}), dict[int, TrialRecord]()
    find = functools.partial(found_wrong, full_epochs=FULL_EPOCHS)
    assert find({0: FINISHED}, [{0: short}, {0: FINISHED}], once, ["trial 0: finished"], may_repeat=0) == []
    assert find({0: stopped}, [nothing], once + Counter({(0, 2): 1}), [], may_repeat=1) == []
    for records, snapshots, written, said in (
        ({0: again}, [{0: short}], once, []),
        (nothing, [{0: short}], once, []),
        ({0: short}, [nothing], once, []),
        ({0: failed}, [nothing], once, []),
        ({0: replace(twice, outcome="stopped")}, [nothing], once, []),
        ({0: FINISHED}, [nothing], once + Counter({(0, 2): 1}), []),
        ({0: FINISHED}, [nothing], once, LACKING),
    ):
        assert len(find(records, snapshots, written, said, may_repeat=0)) == 1, (records, written)


def test_recorded_epochs_count_among_those_trained_again() -> None:
    assert trained_again(Counter({(0, 1): 1, (0, 2): 3}), ["trial 0: finished"]) == 2
    assert trained_again(Counter({(0, 1): 1, (0, 2): 3}), LACKING) == 6
