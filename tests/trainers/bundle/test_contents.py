import json

import pytest

from search_spaces.errors import UserError
from tests.support.bundles import SUMMARY, inference_cost, provenance
from tests.support.tiny_training import DATA, RECIPE, TINY
from trainers.bundle.contents import Bundle

BUNDLE = Bundle(TINY, RECIPE, DATA, SUMMARY, provenance(inference=inference_cost().to_json()))


def test_json_brings_a_bundle_back() -> None:
    assert Bundle.from_json(json.loads(json.dumps(BUNDLE.to_json()))) == BUNDLE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"note": "x"}, "unknown key of bundle 'note'"),
        ({"recipe": {}}, "recipe: missing epochs"),
        ({"data_summary": None}, "data_summary: expected an object"),
    ],
)
def test_reading_is_strict(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Bundle.from_json(BUNDLE.to_json() | change)
