import json

import pytest

from search_spaces.errors import UserError
from tests.support.bundles import inference_cost
from trainers.inference_cost import InferenceCost


def test_a_cost_is_json_and_read_strictly() -> None:
    cost = inference_cost()
    assert InferenceCost.from_json(json.loads(json.dumps(cost.to_json()))) == cost
    with pytest.raises(UserError, match=r"unknown key of inference 'latency'.*'latency_ms'"):
        InferenceCost.from_json(cost.to_json() | {"latency": 3})
    with pytest.raises(UserError, match=r"inference.batch is 1\.5"):
        InferenceCost.from_json(cost.to_json() | {"batch": 1.5})


def test_costs_of_before_lie_within_an_interquartile_range_of_their_median() -> None:
    earlier = inference_cost(latency_ms=2.0, latency_spread_ms=0.5, runs=30).to_json()
    for name in ("latency_low_ms", "latency_high_ms", "rounds"):
        del earlier[name]
    cost = InferenceCost.from_json(earlier)
    assert (cost.latency_low_ms, cost.latency_high_ms, cost.rounds) == (1.5, 2.5, 1)
    assert cost.readable_latency == "1.5–2.5" and "median of 30 runs" in cost.conditions
    with pytest.raises(UserError, match="missing"):
        InferenceCost.from_json({name: value for name, value in earlier.items() if name != "latency_ms"})
    with pytest.raises(UserError, match="latency_ms is 'long'"):
        InferenceCost.from_json(inference_cost().to_json() | {"latency_ms": "long"})
