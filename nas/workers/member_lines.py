"""What passes between a worker and the processes that train its trial together: a line each, through pipes."""

import json
from dataclasses import dataclass

from nas.workers.trial_config import WorkerMessage

# What a worker says after the trial: that its driver has taken the report of an epoch, and that the training is to end.
GO_ON, END = b"go on\n", b"end\n"


@dataclass(frozen=True, slots=True)
class MemberLine:
    """A line that a process writes: a report with its warnings, or that the training is at its end (None)."""

    message: WorkerMessage | None

    def to_bytes(self) -> bytes:
        return json.dumps(None if self.message is None else self.message.to_json()).encode() + b"\n"

    @classmethod
    def from_bytes(cls, line: bytes) -> "MemberLine":
        """The line that `to_bytes` wrote."""
        data = json.loads(line)
        return cls(None if data is None else WorkerMessage.from_json(data))
