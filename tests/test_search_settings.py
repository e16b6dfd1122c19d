import pytest

from nas.search_settings import ClusterSettings, SearchSettings, duration_seconds
from search_spaces.errors import UserError
from tests.search_fixtures import search_settings


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("12h", 43200), ("2d", 172800), ("1h30m", 5400), ("0.5h", 1800)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "3", "3x", "h", "-1h", "0s", "1h x"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="expected a duration such as 90s"):
        duration_seconds(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trials": 0}, "search.trials is 0"),
        ({"sampler": "tpa"}, "Did you mean 'tpe'"),
        ({"scheduler": "asha"}, "unknown search.scheduler 'asha'"),
        ({"minimum_epochs": 0}, "minimum_epochs is 0"),
        ({"reduction_factor": 1}, "reduction_factor is 1"),
        ({"seed": -1}, "seed is -1"),
        ({"max_flops": 0.0}, "max_flops is 0"),
        ({"max_flops": float("nan")}, "max_flops is nan"),
        ({"time_budget": "soon"}, "'soon'"),
    ],
)
def test_values_out_of_range_are_named(changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        search_settings(**changes)


def test_json_round_trip() -> None:
    settings = search_settings(max_flops=2e9, time_budget="1h")
    assert SearchSettings.from_json(settings.to_json()) == settings
    with pytest.raises(UserError, match="trials is 'many'"):
        SearchSettings.from_json(settings.to_json() | {"trials": "many"})


@pytest.mark.parametrize(("gpus", "cpus"), [(-1, 1), (1.5, 1), (0, 0), (0, -2), (float("inf"), 1)])
def test_resources_that_ray_cannot_give_are_refused(gpus: float, cpus: float) -> None:
    with pytest.raises(UserError, match="-per-trial is"):
        ClusterSettings(None, gpus, cpus)
