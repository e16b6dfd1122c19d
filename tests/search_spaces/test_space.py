import itertools
import random
from collections import Counter
from pathlib import Path

import pytest
import yaml

from search_spaces import space as space_module
from search_spaces.architecture import Architecture, Attention, Convolution
from search_spaces.cost import cost
from search_spaces.errors import UserError
from search_spaces.space import Space
from search_spaces.space_reading import space_from_mapping

SPACES = ["resnet_stages", "resnet_blocks"]


def mapping(name: str = "resnet_stages") -> dict:
    return yaml.safe_load(Path(space_module.__file__).with_name(f"{name}.yaml").read_text(encoding="utf-8"))


def space(name: str = "resnet_stages", **changes: object) -> Space:
    return space_from_mapping(name, mapping(name) | changes)


def small_space(granularity: str) -> Space:
    stages = {"operator": ["convolution", "attention"], "spatial_extent": [3, 5], "heads": [1, 4, 8]}
    return space(
        granularity=granularity,
        stem=["convolution", "attention"],
        depth=[14, 26] if granularity == "stage" else [14],
        width=[0.125],
        stages=stages | {"positional_encoding": ["relative"]},
        stage4={"operator": ["convolution"]},
    )


def every_architecture(space: Space) -> list[Architecture]:
    """All that `decide` can arrive at, by walking its choices depth first: independent of frames and slots."""
    found = []
    pending: list[list[int]] = [[]]
    while pending:
        path = pending.pop()
        options = []

        def pick(name, values, path=path, options=options):
            options.append(len(values))
            return values[path[len(options) - 1] if len(options) <= len(path) else 0]

        found.append(space.decide(pick))
        for position in range(len(path), len(options)):
            for option in range(1, options[position]):
                pending.append([*path, *[0] * (position - len(path)), option])
    return found


@pytest.mark.parametrize("granularity", ["stage", "block"])
def test_size_is_the_number_of_distinct_architectures(granularity: str) -> None:
    found = every_architecture(small_space(granularity))
    assert len(found) == len({architecture.id for architecture in found}) == small_space(granularity).size()


@pytest.mark.parametrize("granularity", ["stage", "block"])
def test_flops_range_is_that_of_all_architectures(granularity: str) -> None:
    task = {"image_size": 16, "in_channels": 1, "classes": 10}
    flops = [cost(architecture, **task).flops for architecture in every_architecture(small_space(granularity))]
    assert small_space(granularity).flops_range(**task) == (min(flops), max(flops))
    assert cost(small_space(granularity).cheapest(**task), **task).flops == min(flops)


@pytest.mark.parametrize("name", SPACES)
def test_samples_vary_and_lie_in_the_flops_range(name: str) -> None:
    chosen = space(name)
    low, high = chosen.flops_range(image_size=16, in_channels=1, classes=10)
    state = random.Random(1)
    samples = [chosen.sample(state) for _ in range(300)]
    for architecture in samples:
        assert low <= cost(architecture, image_size=16, in_channels=1, classes=10).flops <= high
    kinds = Counter(type(operator) for sample in samples for stage in sample.stages for operator in stage)
    assert kinds[Convolution] > 300 and kinds[Attention] > 300
    assert len({sample.id for sample in samples}) > 250


@pytest.mark.parametrize("name", SPACES)
def test_choices_of_leads_back_to_the_architecture(name: str) -> None:
    chosen = space(name)
    state = random.Random(2)
    for _ in range(200):
        architecture = chosen.sample(state)
        choices = chosen.choices_of(architecture)
        assert chosen.decide(lambda name, values, choices=choices: choices[name]) == architecture


def test_a_choice_always_comes_with_the_same_values() -> None:
    """What samplers need: one set of values for a name, over all widths and encodings."""
    seen: dict[str, tuple] = {}
    state = random.Random(3)
    chosen = space("resnet_blocks")

    def pick(name, values):
        assert seen.setdefault(name, tuple(values)) == tuple(values)
        return state.choice(values)

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


@pytest.mark.parametrize("name", SPACES)
def test_json_round_trip(name: str) -> None:
    chosen = space(name, stage2={"heads": [2]})
    assert space_from_mapping(name, chosen.to_json()) == chosen


def test_an_architecture_of_another_space_is_refused() -> None:
    blocks = space("resnet_blocks").sample(random.Random(5))
    with pytest.raises(UserError, match="not in space resnet_stages"):
        space().choices_of(blocks)
    with pytest.raises(UserError, match="no depth"):
        space(depth=[38]).choices_of(space(depth=[26]).anchors()[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stems": ["convolution"]}, "Did you mean 'stem'"),
        ({"stem": None}, "stem is missing"),
        ({"stem": []}, "at least one value"),
        ({"stem": ["convolutoin"]}, "Did you mean 'convolution'"),
        ({"depth": [27]}, "unknown space.depth '27'"),
        ({"depth": [26, 26]}, "stands there twice"),
        ({"depth": 26}, "expected a list"),
        ({"width": [0.3]}, "width has 0.3"),
        ({"width": ["wide"]}, "width has 'wide'"),
        ({"width": [float("nan")]}, "width has nan"),
        ({"granularity": "layer"}, "unknown granularity 'layer'"),
        ({"stages": {"operator": ["attention"]}}, "stages.spatial_extent is None"),
        ({"stages": {"operators": ["attention"]}}, "Did you mean 'operator'"),
        ({"stage1": {"heads": [0]}}, "stage1.heads has 0"),
        ({"stage1": {"spatial_extent": [4]}}, "spatial_extent is 4"),
        ({"stage1": [3]}, "expected a mapping"),
        ({"stage1": {"heads": [3], "operator": ["attention"]}}, "no stem, width and operators fit"),
    ],
)
def test_mistakes_are_named(changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        space(**changes)
