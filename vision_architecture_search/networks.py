"""Architectures as data: what they cost, and the networks that they describe."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces import cost as costs
from search_spaces.architecture import Architecture
from search_spaces.architecture_files import read_described
from search_spaces.errors import UserError
from vision_architecture_search.given import given_count, given_path

if TYPE_CHECKING:
    from torch import nn

# An architecture, or whatever one is made of: the name of a model of the paper, a JSON file, or a description.
Described = Architecture | str | Path | Mapping[str, Any]


def architecture(described: Described) -> Architecture:
    """The architecture of a model of the paper (`resnet50-attention`), of a JSON file, of a bundle, or of a mapping.

    Raises UserError.
    """
    return _described(described)[0]


def cost(
    described: Described, *, image_size: int | None = None, in_channels: int | None = None, classes: int | None = None
) -> costs.Cost:
    """FLOPs of one image, 2 a multiply-add, and parameters, counted exactly: `flops`, `params`, and `parts`.

    `image_size` is in pixels a side. Where nothing else is said a bundle has its own sizes, and any other architecture
    3 channels and 1,000 classes, of which `image_size` has to be said. Raises UserError.
    """
    found, sizes = _sized(described, image_size=image_size, in_channels=in_channels, classes=classes)
    return costs.cost(found, **sizes)


def build(
    described: Described, *, image_size: int | None = None, in_channels: int | None = None, classes: int | None = None
) -> "nn.Module":
    """The network, freshly initialised, on the CPU: it takes images (batch, channels, height, width).

    Its sizes are as in `cost`. Raises UserError.
    """
    found, sizes = _sized(described, image_size=image_size, in_channels=in_channels, classes=classes)
    from search_spaces import resnet

    return resnet.build(found, **sizes)


def _sized(described: Described, **numbers: object) -> tuple[Architecture, dict[str, int]]:
    # NumPy's whole numbers, too, as they come out of a table.
    given = {name: given_count(name, number) for name, number in numbers.items() if number is not None}
    found, of_bundle = _described(described)
    if not of_bundle and "image_size" not in given:
        raise UserError("image_size is missing: expected a whole number of 1 or more.")
    return found, {**costs.IMAGENET, **of_bundle, **given}


def _described(described: Described) -> tuple[Architecture, dict[str, int]]:
    if isinstance(described, Architecture):
        return described, {}
    if isinstance(described, Mapping):
        return Architecture.from_json(dict(described)), {}
    if not isinstance(described, str | Path):
        raise UserError(
            f"architecture is {described!r}: expected an architecture, the name of a model, the path of a file, or a "
            "mapping."
        )
    return read_described(given_path("architecture", described))
