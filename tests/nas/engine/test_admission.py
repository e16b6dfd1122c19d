from nas.engine.admission import Admission, admit
from nas.records.cost_limits import CostLimits


def test_an_architecture_over_the_limit_is_rejected_even_when_known() -> None:
    decision = admit("a", CostLimits(1000.0).exceeded(1001, 5), {"a": 4})
    assert decision.verdict == "rejected" and decision.reason == "1,001 FLOPs exceed the limit of 1,000"


def test_the_limit_itself_is_allowed() -> None:
    limits = CostLimits(1000.0, 500.0)
    assert admit("a", limits.exceeded(1000, 500), {}) == Admission("train")
    assert admit("a", limits.exceeded(1000, 501), {}).reason == "501 parameters exceed the limit of 500"


def test_a_known_architecture_is_a_duplicate_of_its_trial() -> None:
    assert admit("a", None, {"b": 3, "a": 7}) == Admission("duplicate", known_trial=7)


def test_a_new_architecture_is_trained() -> None:
    assert admit("c", None, {"b": 3, "a": 7}) == Admission("train")
