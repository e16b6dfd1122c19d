"""Convolution, attention in the later stages, and attention alone learn digits by the ordinary command.

One of attention alone as small as the others does not reach that: `trainers/recipes/digits.yaml` has the figures.
"""

import json
from pathlib import Path

import pytest

from search_spaces.architecture import Architecture, Attention, Convolution
from tests.support.bundles import provenance
from trainers.bundle.contents import Bundle
from trainers.bundle.files import write_bundle
from trainers.data.config import DATA_DEFAULTS
from trainers.data.datasets import check_data
from trainers.recipe_files import full_training
from trainers.train import main

DATA = DATA_DEFAULTS["digits"]
CONVOLUTION, ATTENTION = (Convolution(),), (Attention(3, 2, "relative"),)
# Each with its recipe.
NETWORKS = {
    "convolution": (Architecture("convolution", 8, (CONVOLUTION,) * 4), "digits"),
    "hybrid": (Architecture("convolution", 8, (CONVOLUTION, CONVOLUTION, ATTENTION, ATTENTION)), "digits"),
    "attention": (Architecture("attention", 16, ((Attention(3, 4, "relative"),),) * 4), "digits_muon"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_each_kind_of_network_learns_digits(name: str, tmp_path: Path) -> None:
    architecture, recipe = NETWORKS[name]
    bundle = Bundle(architecture, full_training("digits"), DATA, check_data(DATA), provenance(trial=42))
    write_bundle(tmp_path / name, bundle, None)
    command = [str(tmp_path / name), f"recipe={recipe}", "--device", "cpu", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    assert json.loads((tmp_path / "out" / "result.json").read_bytes())["test_accuracy"] >= 0.98
