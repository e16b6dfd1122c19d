"""Architectures, costs and networks from Python."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vision_architecture_search as vas
from search_spaces.cost import main as cost_command
from tests.support.tiny_training import TINY


def test_a_cost_is_that_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cost_command(["resnet26-attention", "--image-size", "64", "--classes", "10", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    taken = {"image_size": 64, "in_channels": 3, "classes": 10}
    assert taken | vas.cost("resnet26-attention", image_size=64, classes=10).to_json() == said
    # The paper's count of its ResNet-50 (arXiv 1906.05909, table 1), in billions.
    assert round(vas.cost("resnet50", image_size=224).flops / 1e9, 1) == 8.2


def test_an_architecture_is_read_from_whatever_holds_it(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"architecture": TINY.to_json()}), encoding="utf-8")
    (tmp_path / "bundle").mkdir()
    file.rename(tmp_path / "bundle" / "bundle.json")
    file.write_text(json.dumps(TINY.to_json()), encoding="utf-8")
    for described in (TINY, TINY.to_json(), file, str(file), tmp_path / "bundle"):
        assert vas.architecture(described) == TINY
    with pytest.raises(vas.UserError, match="Did you mean 'resnet26-attention'"):
        vas.architecture("resnet26-atention")
    with pytest.raises(vas.UserError, match=r"a bundle's directory, or a file ending in \.json"):
        vas.architecture(tmp_path)


@pytest.mark.parametrize(
    "sizes", [{"image_size": 0}, {"image_size": 16.5}, {"in_channels": -1}, {"classes": 0}, {"classes": "10"}]
)
def test_a_size_that_cannot_be_is_named(sizes: dict[str, Any]) -> None:
    [(name, value)] = sizes.items()
    for use in (vas.cost, vas.build):
        with pytest.raises(vas.UserError, match=f"{name} is {value!r}: expected a whole number of 1 or more"):
            use(TINY, **{"image_size": 16, **sizes})
    assert vas.cost(TINY, image_size=np.int64(16)) == vas.cost(TINY, image_size=16)  # type: ignore[arg-type]


def test_a_network_takes_images() -> None:
    network = vas.build(TINY, image_size=16, in_channels=1, classes=7).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 1, 16, 16)).shape == (2, 7)
    params = sum(parameter.numel() for parameter in network.parameters())
    assert params == vas.cost(TINY, image_size=16, in_channels=1, classes=7).params


def test_a_bundle_brings_its_own_sizes(tmp_path: Path) -> None:
    own = {"image_size": 16, "in_channels": 1, "classes": 3}
    file = tmp_path / "bundle.json"
    file.write_text(json.dumps({"architecture": TINY.to_json(), "data_summary": own}), encoding="utf-8")
    for given in ({}, {"classes": 7}, {"image_size": 32}):
        expected = vas.cost(TINY, **{**own, **given})
        assert vas.cost(tmp_path, **given) == expected
        assert sum(parameter.numel() for parameter in vas.build(file, **given).parameters()) == expected.params
    with pytest.raises(vas.UserError, match="image_size is missing: expected a whole number of 1 or more"):
        vas.cost(TINY, classes=3)
