from typing import Any

import pytest

from search_spaces.errors import UserError
from search_spaces.space_reading import space_from_mapping
from tests.support.spaces import SPACES, space


@pytest.mark.parametrize("name", SPACES)
def test_json_round_trip(name: str) -> None:
    chosen = space(name, stage2={"heads": [2]})
    assert space_from_mapping(name, chosen.to_json()) == chosen


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stems": ["convolution"]}, "Did you mean 'stem'"),
        ({"stem": None}, "stem is missing"),
        ({"stem": []}, "at least one value"),
        ({"stem": ["convolutoin"]}, "Did you mean 'convolution'"),
        ({"depth": [27]}, "unknown space.depth '27'"),
        ({"depth": [26, 26]}, "stands there twice"),
        ({"width": [1, 1.0]}, "stands there twice"),
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
def test_mistakes_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        space(**changes)
