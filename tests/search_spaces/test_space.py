import itertools
import random
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from search_spaces.architecture import Architecture, Attention, Convolution
from search_spaces.cost import cost
from search_spaces.errors import UserError
from search_spaces.space import Space, Value
from search_spaces.space_cost import flops_range
from tests.support.spaces import SPACES, every_architecture, mapping, small_space, space


@pytest.mark.parametrize("granularity", ["stage", "block"])
def test_size_is_the_number_of_distinct_architectures(granularity: str) -> None:
    found = every_architecture(small_space(granularity))
    assert len(found) == len({architecture.id for architecture in found}) == small_space(granularity).size()


@pytest.mark.parametrize("name", SPACES)
def test_samples_vary_and_lie_in_the_flops_range(name: str) -> None:
    chosen = space(name)
    low, high = flops_range(chosen, image_size=16, in_channels=1, classes=10)
    rng = random.Random(1)
    samples = [chosen.sample(rng) for _ in range(300)]
    for architecture in samples:
        assert low <= cost(architecture, image_size=16, in_channels=1, classes=10).flops <= high
    kinds = Counter(type(operator) for sample in samples for stage in sample.stages for operator in stage)
    assert kinds[Convolution] > 300 and kinds[Attention] > 300
    assert len({sample.id for sample in samples}) > 250


def decided(space: Space, choices: Mapping[str, Value]) -> Architecture:
    return space.decide(lambda name, values: choices[name])


@pytest.mark.parametrize("name", SPACES)
def test_choices_of_leads_back_to_the_architecture(name: str) -> None:
    chosen = space(name)
    rng = random.Random(2)
    for _ in range(200):
        architecture = chosen.sample(rng)
        assert decided(chosen, chosen.choices_of(architecture)) == architecture


def test_a_choice_always_comes_with_the_same_values() -> None:
    """What samplers need: one set of values for a name, over all widths and encodings."""
    seen: dict[str, tuple[Value, ...]] = {}
    rng = random.Random(3)
    chosen = space("resnet_blocks")

    def pick(name: str, values: Sequence[Value]) -> Value:
        assert seen.setdefault(name, tuple(values)) == tuple(values)
        return rng.choice(values)

    for _ in range(500):
        chosen.decide(pick)
    assert seen["stage1.block1.heads[1,2,4]"] == (1, 2, 4)


def test_heads_that_do_not_fit_are_never_offered() -> None:
    narrow = space(width=[0.0625])  # 4 channels in the first stage
    for architecture in itertools.islice((narrow.sample(random.Random(seed)) for seed in range(400)), 400):
        for operator in architecture.stages[0]:
            if isinstance(operator, Attention):
                assert 4 % operator.heads == 0
                assert operator.positional_encoding != "relative" or operator.heads <= 2


def test_a_stem_that_does_not_fit_a_width_is_never_offered() -> None:
    narrow = space(width=[0.0625, 0.125])  # 4 and 8 channels; an attention stem needs a multiple of 8
    samples = [narrow.sample(random.Random(seed)) for seed in range(200)]
    assert {(s.stem, s.base_channels) for s in samples} == {("convolution", 4), ("convolution", 8), ("attention", 8)}


def test_anchors_are_all_convolution_and_the_papers_attention() -> None:
    convolution, attention = space().anchors()
    assert convolution.label == "R26 w8 · c C C C C"
    assert attention.label == "R26 w8 · a A7×4r A7×8r A7×8r A7×8r"


def test_a_space_of_one_kind_has_one_anchor() -> None:
    stages = mapping()["stages"] | {"operator": ["convolution"]}
    assert [anchor.label for anchor in space(stages=stages, stem=["convolution"]).anchors()] == ["R26 w8 · c C C C C"]


def test_one_stage_can_differ() -> None:
    chosen = space(stage1={"operator": ["convolution"]}, stage4={"spatial_extent": [3]})
    for seed in range(100):
        architecture = chosen.sample(random.Random(seed))
        assert set(architecture.stages[0]) == {Convolution()}
        assert all(getattr(operator, "spatial_extent", 3) == 3 for operator in architecture.stages[3])


def test_an_architecture_of_another_space_is_refused() -> None:
    blocks = space("resnet_blocks").sample(random.Random(5))
    with pytest.raises(UserError, match="not in space resnet_stages"):
        space().choices_of(blocks)
    with pytest.raises(UserError, match="no depth"):
        space(depth=[38]).choices_of(space(depth=[26]).anchors()[0])
