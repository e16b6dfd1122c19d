"""Spaces for tests: those that come with the project, with changes, and small ones that can be listed whole."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from search_spaces import space as space_module
from search_spaces.architecture import Architecture
from search_spaces.space import Space, Value
from search_spaces.space_reading import space_from_mapping

SPACES = ["resnet_stages", "resnet_blocks"]


def mapping(name: str = "resnet_stages") -> dict[str, Any]:
    return yaml.safe_load(Path(space_module.__file__).with_name(f"{name}.yaml").read_text(encoding="utf-8"))


def space(name: str = "resnet_stages", **changes: object) -> Space:
    return space_from_mapping(name, mapping(name) | changes)


def small_space(granularity: str) -> Space:
    stages = {"operator": ["convolution", "attention"], "spatial_extent": [3, 5], "heads": [1, 4, 8]}
    return space(
        granularity=granularity,
        stem=["convolution", "attention"],
        depth=[14, 26] if granularity == "stage" else [14],
        width=[0.125],
        stages=stages | {"positional_encoding": ["relative"]},
        stage4={"operator": ["convolution"]},
    )


def every_architecture(space: Space) -> list[Architecture]:
    """All that `decide` can arrive at, by walking its choices depth first: independent of frames and slots."""
    found = []
    pending: list[list[int]] = [[]]
    while pending:
        path = pending.pop()
        options: list[int] = []

        def pick(name: str, values: Sequence[Value], path: list[int] = path, options: list[int] = options) -> Value:
            options.append(len(values))
            return values[path[len(options) - 1] if len(options) <= len(path) else 0]

        found.append(space.decide(pick))
        for position in range(len(path), len(options)):
            for option in range(1, options[position]):
                pending.append([*path, *[0] * (position - len(path)), option])
    return found
