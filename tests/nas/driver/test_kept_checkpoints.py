"""Whose weights stay once a search has ended."""

from pathlib import Path

import pytest

from nas.driver.result_files import drop_checkpoints
from nas.records.summary import summarise
from nas.settings.run_directory import run_directory
from tests.support.searches import trial_record

RECORDS = (
    trial_record(0, (0.9,), flops=100),
    trial_record(1, (0.8,), flops=50),
    trial_record(2, (0.7,), flops=70),  # beaten by 1
    trial_record(3, (0.5,), outcome="stopped"),
    trial_record(4, (), outcome="oom"),
    trial_record(5, (0.5,), outcome="running"),
    trial_record(6, (0.5,), outcome="held"),
)


@pytest.mark.parametrize(
    ("keep_checkpoints", "kept"), [("front", {0, 1, 5, 6}), ("all", set(range(7))), ("none", {5, 6})]
)
def test_weights_stay_as_asked_and_always_of_what_may_go_on(
    keep_checkpoints: str, kept: set[int], tmp_path: Path
) -> None:
    directory = run_directory(str(tmp_path), "one")
    for record in RECORDS:
        directory.checkpoints(record.number).write("epoch-000001.checkpoint", b"")
    drop_checkpoints(directory, RECORDS, summarise(RECORDS, (0.0, 1000.0)), keep_checkpoints)
    assert {record.number for record in RECORDS if directory.checkpoints(record.number).names()} == kept
