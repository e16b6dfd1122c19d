from nas.engine.admission import Admission, admit


def test_an_architecture_over_the_limit_is_rejected_even_when_known() -> None:
    decision = admit("a", 1001, {"a": 4}, 1000.0)
    assert decision.verdict == "rejected" and decision.reason == "1,001 FLOPs exceed the limit of 1,000"


def test_the_limit_itself_is_allowed() -> None:
    assert admit("a", 1000, {}, 1000.0) == Admission("train")


def test_a_known_architecture_is_a_duplicate_of_its_trial() -> None:
    assert admit("a", 10, {"b": 3, "a": 7}, None) == Admission("duplicate", known_trial=7)


def test_a_new_architecture_is_trained() -> None:
    assert admit("c", 10, {"b": 3, "a": 7}, None) == Admission("train")
