import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from search_spaces.architecture import Architecture, Attention, Convolution
from tests.support.bundles import SUMMARY, inference_cost, provenance
from trainers.bundle.contents import Bundle
from trainers.bundle.files import write_bundle
from trainers.bundle.model_card import model_card
from trainers.data.config import DATA_DEFAULTS
from trainers.data.datasets import load_test
from trainers.data.normalisation import DIGITS_MEAN, DIGITS_STD, NORMALISATION
from trainers.model import seeded_model
from trainers.recipe_files import full_training

MIXED = (Convolution(), Attention(3, 2, "relative"), Attention(3, 2, "relative"), Convolution())
ARCHITECTURE = Architecture("attention", 8, ((Convolution(),), MIXED, (Attention(5, 1, "none"),), (Convolution(),)))
BUNDLE = Bundle(ARCHITECTURE, full_training("digits"), DATA_DEFAULTS["digits"], SUMMARY, provenance())


def test_the_program_in_the_card_runs_and_gives_the_networks_probabilities(tmp_path: Path) -> None:
    model = seeded_model(ARCHITECTURE, SUMMARY, 5).eval()
    write_bundle(tmp_path / "bundle", BUNDLE, model.state_dict())
    card = (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")
    assert card == model_card(BUNDLE)
    [program] = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    found: dict[str, Any] = {}
    exec(program.replace("this/directory", str(tmp_path / "bundle")), found)
    with torch.inference_mode():
        expected = model(torch.zeros(1, 1, 16, 16)).softmax(1)
    assert torch.allclose(found["probabilities"], expected, atol=1e-6)


def test_the_card_says_what_the_bundle_holds() -> None:
    card = model_card(BUNDLE)
    parameters = sum(parameter.numel() for parameter in seeded_model(ARCHITECTURE, SUMMARY, 0).parameters())
    for text in (
        f"| parameters | {parameters:,} |",
        "| validation accuracy in the search, after 18 epochs of 40, where it was stopped | 97.21% |",
        "trial 42 of the",
        "`näs-1`, picked from its front as `knee`",
        "18 of 40 epochs",
        "1. 8 channels: 1 × 3×3 convolution",
        "2. 16 channels: 1 × 3×3 convolution, 2 × 3×3 attention of 2 heads, relative positions, 1 × 3×3 convolution",
        "3. 32 channels: 1 × 5×5 attention of 1 head, no positions",
        "1,079 images to train on, 359 to validate, 359 to test",
        "python trainers/train.py",
        "CC BY 4.0",
    ):
        assert text in card, text
    assert "latency |" not in card and "test accuracy" not in card


def test_what_a_search_found_on_other_images_is_said_to_be_of_those() -> None:
    other = dataclasses.replace(SUMMARY, name="image_folder", classes=3, image_size=32)
    source = provenance(search_data=other.to_json(), inference=inference_cost().to_json())
    card = model_card(dataclasses.replace(BUNDLE, provenance=source))
    assert "of 40, where it was stopped, on image_folder with 3 classes | 97.21% |" in card
    assert "| latency |" not in card and "| peak memory |" not in card
    # Of the same images in another size the accuracy holds, and what was measured does not.
    larger = provenance(search_data=dataclasses.replace(SUMMARY, image_size=8).to_json(), inference=source.inference)
    card = model_card(dataclasses.replace(BUNDLE, provenance=larger))
    assert "where it was stopped | 97.21% |" in card and "| latency |" not in card


def test_the_card_says_what_was_measured_and_under_what_conditions() -> None:
    cost = inference_cost(threads=4, latency_low_ms=1.2, latency_high_ms=1.5)
    bundle = dataclasses.replace(BUNDLE, provenance=provenance(inference=cost.to_json()))
    card = model_card(bundle)
    assert "| latency | 1.25 ms (1.2 to 1.5 ms) |" in card and "| peak memory | 3.5 MB |" in card
    for condition in ("batch 1", "16×16 pixels", "float32", "A Processor", "4 threads", "numba", "torch 2.13.0"):
        assert condition in card


@pytest.mark.parametrize(("accuracy", "text"), [(0.984, "98.40%"), (None, "no test split")])
def test_the_card_of_a_full_training_says_its_result(accuracy: float | None, text: str) -> None:
    result = {"test_accuracy": accuracy, "val_accuracy": 0.97, "epochs": 40}
    card = model_card(dataclasses.replace(BUNDLE, provenance=provenance(full_training=result)))
    assert f"| test accuracy after the full training of 40 epochs | {text} |" in card
    assert "those of its full training" in card and "It is meant to be trained fully" not in card


@pytest.mark.parametrize("name", DATA_DEFAULTS)
def test_every_data_set_has_a_card(name: str) -> None:
    channels = len(NORMALISATION[name][0])
    summary = dataclasses.replace(SUMMARY, name=name, in_channels=channels)
    assert f"`{name}`: 1,079 images" in model_card(dataclasses.replace(BUNDLE, data_summary=summary))


def test_the_normalisation_in_the_card_is_that_of_the_images() -> None:
    images = load_test(DATA_DEFAULTS["digits"])
    [(batch, _)] = images.batches([torch.arange(len(images))], torch.device("cpu"))
    card = model_card(BUNDLE)
    assert "0.305" in card and "0.318" in card and (DIGITS_MEAN, DIGITS_STD) == ((0.305,), (0.318,))
    # A black pixel is where 0 goes.
    assert batch.min().item() == pytest.approx((0 - 0.305) / 0.318, abs=1e-5)
