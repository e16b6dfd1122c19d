import json

from nas.records.failures import failure_reasons, failure_text
from nas.records.summary import summarise
from nas.reporting.page import report_page
from tests.support.reports import FACTS
from tests.support.searches import trial_record

LOSS = "the loss is not finite in epoch"
RECORDS = [
    trial_record(0, (0.5, 0.8)),
    trial_record(1, (), outcome="failed", reason="ValueError: <b>64</b>"),
    trial_record(2, (), outcome="diverged", reason=f"{LOSS} 3"),
    trial_record(3, (), outcome="diverged", reason=f"{LOSS} 17"),
    trial_record(4, (), outcome="crashed"),
    trial_record(5, (0.5,), outcome="stopped", reason="rung of epoch 1"),
    trial_record(6, (), outcome="rejected", reason="over the limit"),
]
EXPECTED = {
    f"diverged: {LOSS} …": 2,
    "failed: ValueError: <b>64</b>": 1,
    "crashed: no reason is known": 1,
}


def test_reasons_are_counted_where_only_numbers_differ() -> None:
    assert failure_reasons(RECORDS) == EXPECTED
    assert next(iter(failure_reasons(RECORDS))) == f"diverged: {LOSS} …"
    assert failure_reasons([]) == {}


def test_a_failure_names_its_trial_its_reason_and_its_architecture() -> None:
    label = RECORDS[2].architecture.label
    assert failure_text(RECORDS[2]) == f"trial 2 diverged: {LOSS} 3 ({label})"
    assert failure_text(RECORDS[4]) == f"trial 4 crashed ({RECORDS[4].architecture.label})"


def test_the_summary_and_the_report_hold_them() -> None:
    document = json.loads(json.dumps(summarise(RECORDS, (0.1, 1e7)).to_json()))
    assert document["failure_reasons"] == EXPECTED and document["counts"]["diverged"] == 2
    page = report_page(FACTS, RECORDS, [])
    assert f"<li>2 × diverged: {LOSS} …</li>" in page
    assert "<li>1 × failed: ValueError: &lt;b&gt;64&lt;/b&gt;</li>" in page
    assert "Trials that failed" not in report_page(FACTS, RECORDS[:1], [])
