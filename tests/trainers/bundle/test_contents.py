import dataclasses
import json

import pytest

from search_spaces.errors import UserError
from tests.support.bundles import SUMMARY, inference_cost, provenance
from tests.support.tiny_training import DATA, RECIPE, TINY
from trainers.bundle.contents import Bundle
from trainers.data.fingerprint import DataFingerprint
from trainers.data.preprocessing import Preprocessing

BUNDLE = Bundle(TINY, RECIPE, DATA, SUMMARY, provenance(inference=inference_cost().to_json()))

RULE = BUNDLE.input_rule.to_json()


def test_json_brings_a_bundle_back() -> None:
    for bundle in (BUNDLE, BUNDLE.described()):
        assert Bundle.from_json(json.loads(json.dumps(bundle.to_json()))) == bundle


def test_what_earlier_code_left_out_follows_from_the_data_set_or_is_not_known() -> None:
    """Bundles had no names and no preprocessing, and before that no fingerprint either."""
    earlier = BUNDLE.to_json()
    assert not earlier.keys() & {"classes", "preprocessing", "data_fingerprint"}
    found = Bundle.from_json(earlier)
    assert found.class_names == tuple("0123456789")
    assert found.input_rule == Preprocessing(1, 16, 16, (0.305,), (0.318,))
    folders = dataclasses.replace(SUMMARY, name="image_folder", classes=2, in_channels=3, image_size=224)
    of_folders = dataclasses.replace(BUNDLE, data_summary=folders)
    assert of_folders.class_names is None and of_folders.described().classes is None
    assert of_folders.input_rule.resize_shorter_side == 256
    fingerprint = DataFingerprint(("cat", "dog"), 2, 2, "0", "0")
    assert dataclasses.replace(of_folders, data_fingerprint=fingerprint).class_names == ("cat", "dog")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"note": "x"}, "unknown key of bundle 'note'"),
        ({"recipe": {}}, "recipe: missing epochs"),
        ({"data_summary": None}, "data_summary: expected an object"),
        ({"data_summary": SUMMARY.to_json() | {"name": "digit"}}, "unknown data set 'digit': .* Did you mean 'digits'"),
        ({"classes": ["a"]}, "bundle classes: expected 10 names, found 1"),
        ({"classes": "abcdefghij"}, "expected a list of names"),
        ({"preprocessing": RULE | {"mean": ["0"]}}, "preprocessing.mean is .*: expected a list of numbers"),
        ({"preprocessing": RULE | {"mean": [0.1, 0.2]}}, "preprocessing.mean is .*: expected a number for each"),
        ({"preprocessing": RULE | {"std": [0]}}, "preprocessing.std is .*: expected a number above 0"),
        ({"preprocessing": RULE | {"crop": "corner"}}, "preprocessing.crop is 'corner': expected 'center'"),
        ({"preprocessing": RULE | {"size": 8}}, "bundle preprocessing: expected 1 channels and size 16"),
        ({"preprocessing": RULE | {"resize_shorter_side": 8}}, "expected at least the size, 16"),
    ],
)
def test_reading_is_strict(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Bundle.from_json(BUNDLE.to_json() | change)
