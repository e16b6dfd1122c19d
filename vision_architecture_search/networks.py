"""Architectures as data: what they cost, and the networks that they describe."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces import cost as costs
from search_spaces.architecture import Architecture
from search_spaces.architecture_files import read_architecture
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
    if isinstance(described, Architecture):
        return described
    if isinstance(described, Mapping):
        return Architecture.from_json(dict(described))
    if not isinstance(described, str | Path):
        raise UserError(
            f"architecture is {described!r}: expected an architecture, the name of a model, the path of a file, or a "
            "mapping."
        )
    return read_architecture(given_path("architecture", described))


def cost(described: Described, *, image_size: int, in_channels: int = 3, classes: int = 1000) -> costs.Cost:
    """FLOPs of one image, 2 a multiply-add, and parameters, counted exactly: `flops`, `params`, and `parts`.

    `image_size` is in pixels a side. Raises UserError.
    """
    sizes = _sizes(image_size=image_size, in_channels=in_channels, classes=classes)
    return costs.cost(architecture(described), **sizes)


def build(described: Described, *, image_size: int, in_channels: int = 3, classes: int = 1000) -> "nn.Module":
    """The network, freshly initialised, on the CPU: it takes images (batch, channels, height, width).

    Raises UserError.
    """
    sizes = _sizes(image_size=image_size, in_channels=in_channels, classes=classes)
    from search_spaces import resnet

    return resnet.build(architecture(described), **sizes)


def _sizes(**numbers: object) -> dict[str, int]:
    # NumPy's whole numbers, too, as they come out of a table.
    return {name: given_count(name, number) for name, number in numbers.items()}
