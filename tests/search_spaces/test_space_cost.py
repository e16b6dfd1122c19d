import pytest

from search_spaces.cost import cost
from search_spaces.space_cost import cheapest_architecture, flops_range
from tests.support.spaces import every_architecture, small_space


@pytest.mark.parametrize("granularity", ["stage", "block"])
def test_flops_range_is_that_of_all_architectures(granularity: str) -> None:
    task = {"image_size": 16, "in_channels": 1, "classes": 10}
    flops = [cost(architecture, **task).flops for architecture in every_architecture(small_space(granularity))]
    assert flops_range(small_space(granularity), **task) == (min(flops), max(flops))
    assert cost(cheapest_architecture(small_space(granularity), **task), **task).flops == min(flops)
