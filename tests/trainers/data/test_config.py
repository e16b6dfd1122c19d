import dataclasses
import json

import pytest

from search_spaces.errors import UserError
from trainers.data.config import DATA_DEFAULTS, DataConfig, DataSummary

DIGITS = DATA_DEFAULTS["digits"]


@pytest.mark.parametrize("config", DATA_DEFAULTS.values())
def test_json_brings_configurations_back(config: DataConfig) -> None:
    assert DataConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    summary = DataSummary(config.name, 10, 3, config.image_size, 5, 6, 7)
    assert DataSummary.from_json(json.loads(json.dumps(summary.to_json()))) == summary


def test_data_sets_are_known_by_their_own_names() -> None:
    assert all(name == config.name for name, config in DATA_DEFAULTS.items())


@pytest.mark.parametrize("name", DATA_DEFAULTS)
def test_a_directory_is_refused_for_images_that_are_in_none(name: str) -> None:
    DATA_DEFAULTS[name].check_root()
    config = dataclasses.replace(DATA_DEFAULTS[name], root="photos")
    if "digits" not in name:
        return config.check_root()
    with pytest.raises(
        UserError, match=rf"data\.root is 'photos', and the images of data={name} come with scikit-learn"
    ):
        config.check_root()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "digit"}, "unknown data set 'digit': .* Did you mean 'digits'"),
        ({"image_size": 4}, "data.image_size is 4"),
        ({"image_size": "16"}, "data.image_size is '16': expected a whole number"),
        ({"validation_fraction": 1.0}, "data.validation_fraction is 1.0"),
        ({"validation_fraction": 0}, "data.validation_fraction is 0.0"),
        ({"split_seed": -1}, "data.split_seed is -1"),
        ({"loader_workers": -1}, "data.loader_workers is -1"),
        ({"root": 3}, "data.root is 3: expected a string or null"),
        ({"path": "x"}, "unknown key of data 'path'"),
    ],
)
def test_a_wrong_configuration_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        DataConfig.from_json(DIGITS.to_json() | change)
