"""What two networks share, held against the parts that are built and counted."""

import dataclasses
import random
from collections import Counter

import pytest

from search_spaces.architecture import Architecture, Attention, Convolution, Operator
from search_spaces.cost import cost, part_params
from search_spaces.inheritance import alike_parts, alike_share, part_of
from search_spaces.resnet import build
from tests.support.spaces import space

SIZE = {"image_size": 32, "in_channels": 3, "classes": 7}
ATTENTION = Attention(3, 2, "relative")
STAGES: tuple[tuple[Operator, ...], ...] = ((Convolution(),), (ATTENTION,) * 2, (Convolution(),) * 3, (ATTENTION,))
ONE = Architecture("convolution", 8, STAGES)


def with_stage(index: int, *operators: Operator) -> Architecture:
    return dataclasses.replace(ONE, stages=(*STAGES[:index], operators, *STAGES[index + 1 :]))


def test_the_parameters_of_the_parts_are_those_of_the_network_that_is_built() -> None:
    rng = random.Random(0)
    drawn = [space(name).sample(rng) for name in ("resnet_stages", "resnet_blocks")]
    for architecture in [ONE, dataclasses.replace(ONE, stem="attention"), *drawn]:
        built: Counter[str] = Counter()
        for name, parameter in build(architecture, **SIZE).named_parameters():
            built[part_of(name)] += parameter.numel()
        params = part_params(architecture, **SIZE)
        assert params == built
        assert sum(params.values()) == cost(architecture, **SIZE).params


def test_a_network_shares_all_with_itself() -> None:
    assert alike_parts(ONE, ONE) == part_params(ONE, **SIZE).keys()
    assert alike_share(ONE, ONE, part_params(ONE, **SIZE)) == 1


@pytest.mark.parametrize(
    "other",
    [Convolution(), Attention(5, 2, "relative"), Attention(3, 4, "relative"), Attention(3, 2, "absolute")],
    ids=lambda one: one.label,
)
def test_a_block_that_differs_in_anything_is_shared_by_no_other(other: Operator) -> None:
    changed = with_stage(1, ATTENTION, other)
    assert alike_parts(changed, ONE) == alike_parts(ONE, ONE) - {"stages.1.1"} == alike_parts(ONE, changed)
    params = part_params(changed, **SIZE)
    assert alike_share(changed, ONE, params) == pytest.approx(1 - params["stages.1.1"] / sum(params.values()))


def test_of_two_depths_the_first_blocks_are_shared() -> None:
    deeper = with_stage(2, *(Convolution(),) * 5)
    assert alike_parts(deeper, ONE) == alike_parts(ONE, deeper) == alike_parts(ONE, ONE)
    assert alike_share(ONE, deeper, part_params(ONE, **SIZE)) == 1
    assert alike_share(deeper, ONE, part_params(deeper, **SIZE)) < 1


def test_another_stem_is_not_shared_and_of_other_channels_nothing_is() -> None:
    assert alike_parts(dataclasses.replace(ONE, stem="attention"), ONE) == alike_parts(ONE, ONE) - {"stem"}
    wider = dataclasses.replace(ONE, base_channels=16)
    assert alike_parts(wider, ONE) == frozenset()
    assert alike_share(wider, ONE, part_params(wider, **SIZE)) == 0
