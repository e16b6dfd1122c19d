"""Full trainings that are named for the MLflow store of a search, and what is said of those on other images."""

from dataclasses import replace
from pathlib import Path

import pytest

from nas.driver.mlflow_catch_up import trainings_of
from nas.ledger.ledger import Ledger
from nas.settings.run_directory import RunDirectory
from tests.support.bundles import SUMMARY, provenance
from tests.support.exported_search import finished_search
from trainers.bundle.contents import Bundle
from trainers.bundle.files import write_bundle
from trainers.data.config import DATA_DEFAULTS, DataConfig, DataSummary
from trainers.data.fingerprint import DataFingerprint
from trainers.recipe_files import full_training

CIFAR10 = DataSummary("cifar10", 10, 3, 32, 45_000, 5_000, 10_000)
# What a model card says of a full training.
RESULT = {"seed": 0, "epochs": 1, "val_accuracy": 0.5, "test_accuracy": None}
IMAGES = DataFingerprint(tuple("0123456789"), 1, 1_000, "1" * 64, "2" * 64)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDirectory, Ledger]:
    """A search on digits."""
    directory, ledger = finished_search(tmp_path_factory.mktemp("runs"))
    ledger.record_data_fingerprint(IMAGES)
    return directory, ledger


@pytest.mark.parametrize(
    ("data", "summary", "images", "said"),
    [
        ("digits", SUMMARY, IMAGES, None),
        # What it takes for comparable are the same images, of whatever size.
        ("digits", replace(SUMMARY, image_size=8), IMAGES, None),
        # Earlier code kept no fingerprint.
        ("digits", SUMMARY, None, None),
        ("cifar10", CIFAR10, None, "cifar10 of 10 classes, the search on digits of 10."),
        ("digits", replace(SUMMARY, classes=3), IMAGES, "digits of 3 classes, the search on digits of 10."),
        ("digits", SUMMARY, replace(IMAGES, bytes=900), "1,000 bytes then, 900 now."),
        ("split anew", SUMMARY, IMAGES, "split_seed is 3, in the search 0."),
    ],
)
def test_a_training_on_other_images_is_brought_in_with_a_warning(
    found: tuple[RunDirectory, Ledger], tmp_path: Path, caplog: pytest.LogCaptureFixture,
    data: str, summary: DataSummary, images: DataFingerprint | None, said: str | None,
) -> None:  # fmt: skip
    directory, ledger = found
    origin = provenance(trial=3, search_id=ledger.search_id, full_training=RESULT)
    digits = DATA_DEFAULTS["digits"]
    config: DataConfig = replace(digits, split_seed=3) if data == "split anew" else DATA_DEFAULTS[data]
    bundle = Bundle(ledger.records[3].architecture, full_training("digits"), config, summary, origin, images)
    write_bundle(tmp_path / "trained", bundle, None)
    [trained] = trainings_of(directory, ledger, [str(tmp_path / "trained")])
    assert trained.directory == str(tmp_path / "trained")
    if said is None:
        assert caplog.messages == []
    else:
        [message] = caplog.messages
        assert f"trained' was trained on other images than the search: {said} What it reached is not" in message
