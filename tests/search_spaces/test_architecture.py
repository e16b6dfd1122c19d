import json
from collections.abc import Callable
from typing import Any

import pytest

from search_spaces.architecture import Architecture, Attention, Convolution, operator_from_json, stem_stride
from search_spaces.errors import UserError
from search_spaces.paper_models import ARCHITECTURES, architecture_named

CONVOLUTION = Convolution()
ATTENTION = Attention(7, 8, "relative")


def architecture(**changes: object) -> Architecture:
    fields: dict[str, Any] = {"stem": "convolution", "base_channels": 64, "stages": ((CONVOLUTION,), (ATTENTION,)) * 2}
    return Architecture(**(fields | changes))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_json_round_trip_keeps_architecture_and_id(name: str) -> None:
    original = ARCHITECTURES[name]
    restored = Architecture.from_json(json.loads(json.dumps(original.to_json())))
    assert restored == original
    assert restored.id == original.id


def test_ids_are_equal_exactly_for_equal_architectures() -> None:
    assert architecture().id == architecture().id
    others = [
        architecture(stem="attention"),
        architecture(base_channels=32),
        architecture(stages=((CONVOLUTION,),) * 4),
        architecture(stages=((CONVOLUTION,), (Attention(7, 4, "relative"),)) * 2),
        architecture(stages=((CONVOLUTION,), (Attention(7, 8, "none"),)) * 2),
        architecture(stages=((CONVOLUTION,), (Attention(5, 8, "relative"),)) * 2),
        architecture(stages=((CONVOLUTION, CONVOLUTION), (ATTENTION,)) * 2),
    ]
    ids = {other.id for other in others} | {architecture().id}
    assert len(ids) == len(others) + 1


def test_label_says_what_each_stage_is() -> None:
    mixed = architecture(stages=((CONVOLUTION,), (ATTENTION, ATTENTION), (CONVOLUTION, ATTENTION), (ATTENTION,)))
    assert mixed.label == "R20 w64 · c C A7×8r (C,A7×8r) A7×8r"


@pytest.mark.parametrize("depth", [26, 38, 50])
def test_depth_counts_the_layers_of_the_name(depth: int) -> None:
    assert architecture_named(f"resnet{depth}").depth == depth


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stem": "convolutional"}, "Did you mean 'convolution'"),
        ({"base_channels": 0}, "base_channels is 0"),
        ({"base_channels": True}, "base_channels is True"),
        ({"base_channels": 60, "stem": "attention"}, "multiple of 8"),
        ({"base_channels": 60}, "120 channels in 8 heads are 15"),
        ({"base_channels": 2}, "8 heads do not divide 4 channels"),
        ({"base_channels": 4}, "8 channels in 8 heads are 1"),
        ({"stages": ((CONVOLUTION,),) * 3}, "stages has 3 entries"),
        ({"stages": ((CONVOLUTION,), (), (CONVOLUTION,), (CONVOLUTION,))}, "at least one block"),
    ],
)
def test_what_cannot_be_built_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        architecture(**changes)


@pytest.mark.parametrize("extent", [0, 2, -3, 3.0, True])
def test_an_extent_is_odd_and_whole(extent: object) -> None:
    with pytest.raises(UserError, match="spatial_extent"):
        Attention(extent, 1, "none")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mutate", "message"),
    [
        (lambda data: data.update(depth=3), "unknown key of architecture 'depth'"),
        (lambda data: data.pop("stem"), "missing stem"),
        (lambda data: data.update(format="resnet/2"), "format is 'resnet/2'"),
        (lambda data: data.update(stages="C"), "list of lists"),
        (lambda data: data["stages"][0].append({"operator": "convolutoin"}), "Did you mean 'convolution'"),
        (lambda data: data["stages"][0].append({"operator": "convolution", "heads": 8}), "unknown key of convolution"),
        (lambda data: data["stages"][0].append({"operator": "attention", "heads": 8}), "missing positional_encoding"),
        (lambda data: data["stages"][0].append(3), "unknown operator"),
    ],
)
def test_json_is_read_strictly(mutate: Callable[[dict[str, Any]], object], message: str) -> None:
    data = architecture().to_json()
    mutate(data)
    with pytest.raises(UserError, match=message):
        Architecture.from_json(data)


@pytest.mark.parametrize("data", [None, [], 3, "resnet50", {"operator": None}])
def test_json_of_another_shape_is_refused(data: object) -> None:
    with pytest.raises(UserError):
        Architecture.from_json(data)
    with pytest.raises(UserError):
        operator_from_json(data)


def test_stem_reduces_large_images_only() -> None:
    assert [stem_stride(size) for size in (8, 16, 32, 33, 64, 96, 97, 224)] == [1, 1, 1, 2, 2, 2, 4, 4]


def test_a_misspelt_model_names_the_nearest() -> None:
    with pytest.raises(UserError, match="Did you mean 'resnet50-attention'"):
        architecture_named("resnet50-atention")
