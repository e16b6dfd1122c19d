"""A search with trials of every kind, as it is while it runs."""

from collections.abc import Sequence

from nas.records.rest_of_search import SearchPlan
from nas.records.summary import Summary, summarise
from nas.records.trial import TrialRecord
from tests.support.bundles import inference_cost
from tests.support.searches import trial_record

PLAN = SearchPlan(trials=12, full_epochs=9, rungs=(2, 6), slots=2)
LOSS = "the loss is not finite in epoch"

RECORDS = [
    trial_record(0, (0.5, 0.80), flops=4_000_000, anchor=True, inference=inference_cost(latency_ms=1.75)),
    trial_record(1, (0.5, 0.90), flops=800_000_000, inference=inference_cost(latency_ms=123.75)),
    trial_record(2, (0.5, 0.6), outcome="held"),
    trial_record(3, (0.5, 0.4523), outcome="running"),
    trial_record(4, (), outcome="running"),
    trial_record(5, (0.5, 0.5), outcome="diverged", reason=f"{LOSS} 3"),
    trial_record(6, (0.5,), outcome="diverged", reason=f"{LOSS} 2"),
    trial_record(7, (), outcome="failed", reason="RuntimeError: what [bold]no markup[/bold] can say in a few words"),
    trial_record(8, (), outcome="rejected"),
]


def summary(records: Sequence[TrialRecord] = RECORDS) -> Summary:
    return summarise(records, (0.1, 1e9))
