"""What is said of searches of equal wall time, by hand."""

import math

from tests.benchmarks.search_comparison import Found, comparison


def test_a_hypervolume_in_time() -> None:
    found = Found({}, ((10.0, 0.5), (20.0, 0.7), (30.0, 0.6)))
    assert [found.at(moment) for moment in (9.9, 10, 25, 30, math.inf)] == [0, 0.5, 0.7, 0.6, 0.6]
    assert [found.seconds_to(volume) for volume in (0.5, 0.6, 0.7, 0.71)] == [10, 20, 20, math.inf]
    assert (Found({}, ()).at(5), Found({}, ()).seconds_to(0.1)) == (0, math.inf)


def test_the_time_is_that_to_what_the_weakest_has() -> None:
    found = {
        "a": [Found({}, ((10.0, 0.5), (50.0, 0.8))), Found({}, ((20.0, 0.9),)), Found({}, ((90.0, 0.1),))],
        "b": [Found({}, ((80.0, 0.6),)), Found({}, ((30.0, 0.6),)), Found({}, ((40.0, 0.4),))],
    }
    first, second = comparison(found, 100)
    assert first == (
        "a: median hypervolume 0.8000 (0.1000 to 0.9000); "
        "0.5000, 0.8000, 0.8000 at a quarter, half and three quarters of the time; 0.6000 after 50 s"
    )
    assert second.startswith("b: median hypervolume 0.6000 (0.4000 to 0.6000); 0.0000, 0.4000, 0.4000 ")
    assert second.endswith("0.6000 after 80 s")


def test_a_search_that_never_has_it_counts_as_such() -> None:
    found = {"a": [Found({}, ((10.0, 0.5),))], "b": [Found({}, ((10.0, 0.9),)), Found({}, ()), Found({}, ())]}
    assert comparison(found, 100)[0].endswith("0.0000 after 10 s")
    assert comparison(found, 100)[1].endswith("0.0000 after inf s")
