"""What a search is doing, told from its trials, its driver and its nodes alone."""

import json
from dataclasses import replace
from typing import Any

from nas.records.left_out_nodes import LeftOutNode
from nas.records.search_status import DriverState, SearchStatus, latest_driver, search_status
from nas.records.trial import TrialRecord
from nas.records.whereabouts import DriverRun, GpuUse, Mishap, Place
from tests.support.searches import trial_record

DRIVER = DriverRun("head", 42, 1000.0, None)


def running(number: int, accuracies: tuple[float, ...] = (), **changes: Any) -> TrialRecord:
    return replace(trial_record(number, accuracies, outcome="running", **changes), finished_at=None)


def status(
    *records: TrialRecord,
    driver: DriverRun | None = DRIVER,
    driver_state: DriverState = "running",
    now: float = 2000.0,
) -> SearchStatus:
    return search_status("name", records, 15, (), driver, driver_state, now)


def test_a_trial_is_where_it_was_given_to_last_and_was_heard_of_when_it_reported() -> None:
    gpu = GpuUse(14, 80, 0.93)
    trained = running(0, (0.3, 0.5), place=Place("a", 1100.0), reported_at=1980.0, gpu=gpu)
    begun = running(1, place=Place("b", 1950.0))
    (first, second) = status(trained, begun).running
    assert (first.state, first.node, first.epochs, first.val_accuracy) == ("training", "a", 2, 0.5)
    assert (first.seconds_since_report, first.gpu) == (20.0, gpu)
    assert (second.state, second.node, second.epochs, second.val_accuracy) == ("training", "b", 0, None)
    assert second.seconds_since_report == 50.0
    # Another machine's clock may be behind.
    assert status(trained, now=1970.0).running[0].seconds_since_report == 0.0


def test_a_place_has_its_accelerator_and_earlier_ones_had_none() -> None:
    place = Place("a", 1100.0, "H100")
    assert Place.from_json(place.to_json()) == place and running(0, place=place).to_json()["accelerator"] == "H100"
    assert Place.from_json({"node": "a", "since": 1100.0}) == Place("a", 1100.0)
    assert status(running(0, place=place)).running[0].accelerator == "H100"


def test_one_that_was_given_back_waits_until_it_is_given_to_a_node_again() -> None:
    mishap = Mishap("a", "images are gone", 1500.0)
    given_back = running(0, (0.3,), place=Place("a", 1100.0), reported_at=1400.0, mishap=mishap)
    again = replace(given_back, place=Place("b", 1600.0))
    (waits,), (trains,) = status(given_back).running, status(again).running
    assert (waits.state, waits.node) == ("waiting", None) and (trains.state, trains.node) == ("training", "b")
    assert waits.last_error == trains.last_error == "images are gone (on a)"


def test_what_an_earlier_driver_began_is_not_trained_yet_and_after_an_end_nothing_is() -> None:
    trial = running(0, (0.3,), place=Place("a", 900.0), reported_at=950.0)
    assert status(trial).running[0].state == "waiting"
    assert status(running(0)).running[0].seconds_since_report is None
    begun = replace(trial, place=Place("a", 1100.0))
    ended, gone = (status(begun, driver_state=state) for state in ("ended", "gone"))
    assert [(found.running[0].state, found.running[0].node) for found in (ended, gone)] == [("cut off", None)] * 2


def test_nodes_have_their_trials_and_why_they_are_left_out_and_failures_their_reasons() -> None:
    left_out = LeftOutNode("b", "3 failures in a row", 1200.0, None), LeftOutNode("a", "its clock", 1100.0, 1150.0)
    records = (
        running(0, place=Place("a", 1100.0)),
        running(1, place=Place("a", 1200.0)),
        trial_record(2, (), outcome="failed", reason="shapes differ", place=Place("b", 1100.0)),
    )
    found = search_status("name", records, 15, left_out, DRIVER, "elsewhere", 2000.0)
    assert [(node.node, node.trials, node.left_out) for node in found.nodes] == [
        ("a", (0, 1), None),
        ("b", (), "3 failures in a row"),
    ]
    (failure,) = found.failed
    assert (failure.number, failure.outcome, failure.reason, failure.node) == (2, "failed", "shapes differ", "b")
    assert found.seconds_since_event == 800.0
    data = json.loads(json.dumps(found.to_json()))
    assert data["format"] == "status/1" and data["driver"]["host"] == "head" and data["counts"]["running"] == 2
    assert data["driver_state"] == "elsewhere"


def test_who_is_only_starting_has_the_lock_and_is_not_in_the_ledger() -> None:
    ended = DriverRun("head", 42, 1000.5, 1500.0, ("--address", "auto"))
    assert DriverRun.from_json(json.loads(json.dumps(ended.to_json()))) == ended
    # Earlier code kept no flags.
    before = {key: value for key, value in DRIVER.to_json().items() if key != "flags"}
    assert DriverRun.from_json(before) == DRIVER
    starting = DriverRun("head", 77, 1900.0, None)
    assert latest_driver(ended, starting) == starting
    # Whoever had the lock before is none of it, nor is the driver itself, by a clock of whole seconds.
    assert latest_driver(ended, DriverRun("head", 41, 900.0, None)) == ended
    assert latest_driver(ended, DriverRun("head", 42, 1000.0, None)) == ended
    assert latest_driver(ended, None) == ended and latest_driver(None, starting) == starting
    (cut_off,) = status(running(0), driver=ended, driver_state="ended").running
    (waiting,) = status(running(0, place=Place("a", 1100.0)), driver=starting).running
    assert (cut_off.state, waiting.state) == ("cut off", "waiting")
