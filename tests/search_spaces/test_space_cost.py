import pytest

from search_spaces.cost import cost
from search_spaces.space_cost import cheapest_architecture, flops_range, params_range
from tests.support.spaces import every_architecture, small_space


@pytest.mark.parametrize("granularity", ["stage", "block"])
def test_the_ranges_of_costs_are_those_of_all_architectures(granularity: str) -> None:
    task = {"image_size": 16, "in_channels": 1, "classes": 10}
    space = small_space(granularity)
    costs = [cost(architecture, **task) for architecture in every_architecture(space)]
    flops, params = [each.flops for each in costs], [each.params for each in costs]
    assert flops_range(space, **task) == (min(flops), max(flops))
    assert params_range(space, **task) == (min(params), max(params))
    assert cost(cheapest_architecture(space, "flops", **task), **task).flops == min(flops)
    assert cost(cheapest_architecture(space, "params", **task), **task).params == min(params)
