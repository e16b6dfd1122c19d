"""FLOPs and parameters against the paper, and against torch's own counter on built models."""

import json
import random
from pathlib import Path

import pytest
import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

from search_spaces import cost as cost_module
from search_spaces.architecture import Architecture, Attention, Convolution, Stem
from search_spaces.canonical_json import checksum_of
from search_spaces.cost import CONVENTION, cost, main
from search_spaces.paper_models import ARCHITECTURES
from search_spaces.resnet import build
from search_spaces.space import Space
from search_spaces.space_reading import space_from_mapping

# Exact at 224×224, batch 1, 1000 classes.
EXACT = {
    "resnet26": (4_684_513_280, 13_696_552),
    "resnet38": (6_431_440_896, 19_626_792),
    "resnet50": (8_178_368_512, 25_557_032),
    "resnet26-conv-stem-attention": (4_484_311_040, 10_342_632),
    "resnet38-conv-stem-attention": (5_725_314_048, 14_190_632),
    "resnet50-conv-stem-attention": (6_966_317_056, 18_038_632),
}

# arXiv 1906.05909, table 1: FLOPS in billions, parameters in millions.
PAPER = {
    "resnet26": (4.7, 13.7),
    "resnet38": (6.5, 19.6),
    "resnet50": (8.2, 25.6),
    "resnet26-conv-stem-attention": (4.5, 10.3),
    "resnet38-conv-stem-attention": (5.7, 14.1),
    "resnet50-conv-stem-attention": (7.0, 18.0),
    "resnet26-attention": (4.7, 10.3),
    "resnet38-attention": (6.0, 14.1),
    "resnet50-attention": (7.2, 18.0),
}


def shipped_space(name: str) -> Space:
    path = Path(cost_module.__file__).with_name(f"{name}.yaml")
    return space_from_mapping(name, yaml.safe_load(path.read_text(encoding="utf-8")))


def counted(architecture: Architecture, image_size: int, in_channels: int, classes: int) -> tuple[int, int]:
    """FLOPs by torch's counter on the built model, without computing anything, and the parameters in it."""
    with torch.device("meta"):
        model = build(architecture, image_size=image_size, in_channels=in_channels, classes=classes)
        # What is counted is the same without gradients and batch statistics, and it takes half the time.
        model.eval()
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(torch.empty(1, in_channels, image_size, image_size))
    return counter.get_total_flops(), sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", EXACT)
def test_exact_integers(name: str) -> None:
    found = cost(ARCHITECTURES[name], image_size=224)
    assert (found.flops, found.params) == EXACT[name]


@pytest.mark.parametrize("name", PAPER)
def test_cells_of_the_paper(name: str) -> None:
    flops, params = PAPER[name]
    found = cost(ARCHITECTURES[name], image_size=224)
    assert found.flops / 1e9 == pytest.approx(flops, abs=0.125)
    assert found.params / 1e6 == pytest.approx(params, abs=0.1)


@pytest.mark.parametrize(
    ("extent", "flops"), [(3, 6.6), (5, 6.7), (7, 7.0), (9, 7.3), (11, 7.7)], ids=lambda value: str(value)
)
def test_cells_of_the_papers_extents(extent: int, flops: float) -> None:
    attention = Attention(extent, 8, "relative")
    blocks = ARCHITECTURES["resnet50"].stages
    architecture = Architecture("convolution", 64, tuple((attention,) * len(stage) for stage in blocks))
    assert cost(architecture, image_size=224).flops / 1e9 == pytest.approx(flops, abs=0.125)


@pytest.mark.parametrize(
    ("stem", "flops"),
    [("attention_stand_alone", 7.1), ("attention_convolutional_values", 7.4), ("attention", 7.2)],
)
def test_cells_of_the_papers_stems(stem: Stem, flops: float) -> None:
    stages = ARCHITECTURES["resnet50-attention"].stages
    assert cost(Architecture(stem, 64, stages), image_size=224).flops / 1e9 == pytest.approx(flops, abs=0.125)


@pytest.mark.parametrize("name", PAPER)
def test_papers_models_equal_torchs_counter(name: str) -> None:
    found = cost(ARCHITECTURES[name], image_size=224)
    assert (found.flops, found.params) == counted(ARCHITECTURES[name], 224, 3, 1000)


@pytest.mark.parametrize("space_name", ["resnet_stages", "resnet_blocks"])
@pytest.mark.parametrize("count", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_random_architectures_equal_torchs_counter(space_name: str, count: int) -> None:
    space = shipped_space(space_name)
    rng = random.Random(space_name)
    for _ in range(count):
        architecture = space.sample(rng)
        size, in_channels, classes = (
            rng.choice([16, 17, 30, 33, 64, 100]),
            rng.choice([1, 3]),
            rng.choice([2, 10]),
        )
        found = cost(architecture, image_size=size, in_channels=in_channels, classes=classes)
        assert (found.flops, found.params) == counted(architecture, size, in_channels, classes), architecture.label


@pytest.mark.parametrize("stem", ["attention_stand_alone", "attention_convolutional_values", "attention"])
@pytest.mark.parametrize("size", [13, 32, 50, 224])
def test_stems_equal_torchs_counter(stem: Stem, size: int) -> None:
    architecture = Architecture(stem, 16, ((Convolution(),), (Attention(3, 2, "relative_only"),)) * 2)
    found = cost(architecture, image_size=size, classes=7)
    assert (found.flops, found.params) == counted(architecture, size, 3, 7)


def test_parts_add_up_and_know_their_place() -> None:
    found = cost(ARCHITECTURES["resnet26-attention"], image_size=224)
    assert sum(part.flops for part in found.parts) == found.flops
    assert sum(part.params for part in found.parts) == found.params
    assert {(part.section, part.part) for part in found.parts} == {
        ("stem", "stem"),
        *((f"stage{stage}", part) for stage in (1, 2, 3, 4) for part in ("conv1x1", "qkv", "attention")),
        ("head", "head"),
    }


def test_printed_json_names_its_convention(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resnet50", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["flops"], printed["params"]) == EXACT["resnet50"]
    assert printed["convention"] == CONVENTION
    assert sum(part["flops"] for part in printed["parts"]) == printed["flops"]


def test_printed_table_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "architecture.json"
    path.write_text(json.dumps(ARCHITECTURES["resnet26"].to_json()), encoding="utf-8")
    assert main([str(path)]) == 0
    printed = capsys.readouterr().out
    assert "4,684,513,280" in printed and "(224 pixels a side, 3 channels, 1,000 classes; " in printed


def test_of_a_bundles_file_its_own_images_and_classes_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bundle.json"
    summary = {"image_size": 32, "in_channels": 1, "classes": 7, "train_images": 5}
    content = {"architecture": ARCHITECTURES["resnet26"].to_json(), "data_summary": summary}
    path.write_text(json.dumps(content), encoding="utf-8")
    expected = cost(ARCHITECTURES["resnet26"], image_size=32, in_channels=1, classes=7)
    assert main([str(path)]) == 0
    printed = capsys.readouterr().out
    assert f"{expected.flops:,}" in printed and "(32 pixels a side, 1 channel, 7 classes; " in printed
    # Its directory is as good.
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == printed
    assert main([str(path), "--classes", "9", "--json"]) == 0
    other = json.loads(capsys.readouterr().out)
    assert other["params"] == cost(ARCHITECTURES["resnet26"], image_size=32, in_channels=1, classes=9).params
    assert (other["image_size"], other["in_channels"], other["classes"]) == (32, 1, 9)
    for wrong in ({"image_size": "32"}, summary | {"in_channels": 0}, None):
        path.write_text(json.dumps(content | {"data_summary": wrong}), encoding="utf-8")
        assert main([str(path)]) == 2
        assert "expected data_summary with image_size" in capsys.readouterr().err


def test_a_bundle_that_was_edited_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, edited = tmp_path / "bundle.json", "bundle.json' is damaged or was edited: its checksum does not fit."
    content = {"format": "bundle/2", "architecture": ARCHITECTURES["resnet26"].to_json(), "accuracy": 0.5}
    whole = content | {"checksum": checksum_of(content)}
    path.write_text(json.dumps(whole), encoding="utf-8")
    assert main([str(tmp_path)]) == 0
    capsys.readouterr()
    for change in ({"architecture": ARCHITECTURES["resnet50"].to_json()}, {"accuracy": float("nan")}, {"more": 1}):
        path.write_text(json.dumps(whole | change), encoding="utf-8")
        assert main([str(tmp_path)]) == 2
        output, error = capsys.readouterr()
        assert output == "" and edited in error and error.count("\n") == 1
    path.write_text("[" * 100_000, encoding="utf-8")
    assert main([str(tmp_path)]) == 2
    assert "bundle.json' is not JSON: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resnet51"], "Did you mean 'resnet50'"),
        (["missing.json"], "cannot be read"),
        (["resnet50", "--image-size", "0"], "--image-size is 0"),
        (["resnet50", "--image-size", "x"], "'x': expected a whole number"),
        (["resnet50", "--image-sise", "8"], "Did you mean '--image-size'"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
