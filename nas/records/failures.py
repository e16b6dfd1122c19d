"""What kept trials from being trained: each in a line, and how often each reason occurred."""

import re
from collections.abc import Iterable

from nas.records.trial import FAILURES, TrialRecord

_NUMBER = re.compile(r"\d+")


def failed(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The trials that could not be trained."""
    return [record for record in records if record.outcome in FAILURES]


def failure_text(record: TrialRecord) -> str:
    """One that failed, for people: `trial 7 diverged: the loss is not finite in epoch 3 (R26 w4 · c C C C C)`."""
    ended = "ran out of memory" if record.outcome == "oom" else record.outcome
    reason = f": {record.reason}" if record.reason else ""
    return f"trial {record.number} {ended}{reason} ({record.architecture.label})"


def failure_reasons(records: Iterable[TrialRecord]) -> dict[str, int]:
    """How many trials failed for each reason, the most frequent first.

    Reasons that differ in numbers alone are one, with `…` in the numbers' place.
    """
    alike: dict[str, list[str]] = {}
    for record in failed(records):
        text = f"{record.outcome}: {record.reason or 'no reason is known'}"
        alike.setdefault(_NUMBER.sub("…", text), []).append(text)
    ordered = sorted(alike.items(), key=lambda pair: -len(pair[1]))
    return {(texts[0] if len(set(texts)) == 1 else masked): len(texts) for masked, texts in ordered}
