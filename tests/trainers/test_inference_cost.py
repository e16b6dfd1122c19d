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
    with pytest.raises(UserError, match=r"inference batch is 1\.5"):
        InferenceCost.from_json(cost.to_json() | {"batch": 1.5})
