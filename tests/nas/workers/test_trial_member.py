"""One of the processes that train a trial together, with its worker at the other end of its pipes."""

import json
import os
import threading
from pathlib import Path
from typing import IO, Any

import pytest

import nas.workers.end_requests
from nas.workers.end_requests import EndRequests
from nas.workers.member_lines import END, GO_ON, MemberLine
from nas.workers.trial_config import EpochReport, TrialConfig, TrialFailed, TrialPreempted, WorkerReport
from nas.workers.trial_member import Worker, train_for
from search_spaces.errors import UserError
from tests.support.present import present
from tests.support.tiny_training import DATA, RECIPE, TINY
from tests.support.trials import trial_config
from trainers.data.datasets import check_data
from trainers.distributed import join_by_file


class Ends:
    """Two pipes, and what was said through them."""

    def __init__(self, trial: TrialConfig, answer: bytes) -> None:
        source, self._to_member = (os.fdopen(end, mode) for end, mode in zip(os.pipe(), ("rb", "wb"), strict=True))
        from_member, target = (os.fdopen(end, mode) for end, mode in zip(os.pipe(), ("rb", "wb"), strict=True))
        self.source, self.target = source, target
        self.lines: list[WorkerReport | None] = []
        self.left = threading.Event()
        self._say(json.dumps(trial.to_json()).encode() + b"\n")
        self._reader = threading.Thread(target=self._listen, args=(from_member, answer), daemon=True)
        self._reader.start()

    def _say(self, line: bytes) -> None:
        self._to_member.write(line)
        self._to_member.flush()

    def _listen(self, from_member: IO[bytes], answer: bytes) -> None:
        with from_member:
            for line in from_member:
                message = MemberLine.from_bytes(line).message
                self.lines.append(None if message is None else message.report)
                if message is not None and isinstance(message.report, EpochReport):
                    self._say(answer)

    def run(self, meeting: Path) -> None:
        worker = Worker(self.source, self.target, lambda code: self.left.set())
        train_for(worker, 0, meeting, EndRequests(worker.wants_end))
        self.target.close()
        self._reader.join(30)
        self._to_member.close()
        # Its worker's end is its own.
        assert self.left.wait(30)
        self.source.close()


def member_of(directory: Path, answer: bytes = GO_ON, **changes: object) -> list[WorkerReport | None]:
    fields: dict[str, Any] = {"architecture": TINY, "data": DATA, "data_summary": check_data(DATA), "training": RECIPE}
    (directory / "checkpoints").mkdir(parents=True, exist_ok=True)
    trial = trial_config(checkpoints=str(directory / "checkpoints" / "0000"), **(fields | changes))
    ends = Ends(trial, answer)
    ends.run(directory / "meeting")
    return ends.lines


def test_a_process_reports_each_epoch_and_that_it_is_at_its_end(tmp_path: Path) -> None:
    *epochs, last = member_of(tmp_path)
    assert [present(report).result.epoch for report in epochs if isinstance(report, EpochReport)] == [1, 2, 3]
    assert last is None and len(epochs) == 3


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    report, *_ = member_of(tmp_path, device="tpu")
    assert isinstance(report, TrialFailed) and "'tpu'" in report.reason


def test_only_as_many_as_there_are_can_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainers.distributed.LONGEST_MEETING_SECONDS", 0.5)
    with pytest.raises(UserError, match="the 2 processes of this training do not find each other"):
        join_by_file(tmp_path / "meeting", 0, 2, "cpu")


def test_what_is_to_end_is_checkpointed_by_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nas.workers.end_requests, "SECONDS_BETWEEN_LOOKS", 0.0)
    assert TrialPreempted() in member_of(tmp_path, GO_ON + END)
    assert any("-step-" in path.name for path in (tmp_path / "checkpoints" / "0000").iterdir())
