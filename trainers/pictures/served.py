"""A registered network as MLflow serves it: the bytes of a picture's file in, the name of its class out.

MLflow loads this by `_load_pyfunc`; nothing is unpickled. Its directory holds `network.pt2`, the exported program, and
`network.json`, its `classes` and `preprocessing`.

Shapes: B batch, C channels, H height, W width.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from .network_input import input_of_bytes
from .rgb import UnreadablePicture

PROGRAM, DOCUMENT = "network.pt2", "network.json"
IMAGE, CLASS, PROBABILITY, PROBABILITIES = "image", "class", "probability", "probabilities"


class PictureClassifier:
    """Answers a table with a column `image` of bytes by `class`, `probability` and `probabilities` of all classes."""

    def __init__(self, directory: Path) -> None:
        import torch

        document = json.loads((directory / DOCUMENT).read_text(encoding="utf-8"))
        self._classes: list[str] = document["classes"]
        self._preprocessing: dict[str, Any] = document["preprocessing"]
        self._module = torch.export.load(str(directory / PROGRAM)).module()

    def predict(self, table: Any, params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """A row for each picture. Raises ValueError, with the number of the row, where one cannot be read."""
        import torch

        images_BCHW = [self._input(row, content) for row, content in enumerate(table[IMAGE])]
        with torch.inference_mode():
            logits = self._module(torch.from_numpy(np.stack(images_BCHW)))
            rows = logits.double().softmax(1).tolist()
        return [
            {
                CLASS: self._classes[row.index(max(row))],
                PROBABILITY: max(row),
                PROBABILITIES: dict(zip(self._classes, row, strict=True)),
            }
            for row in rows
        ]

    def _input(self, row: int, content: bytes) -> Any:
        try:
            return input_of_bytes(content, self._preprocessing)
        except UnreadablePicture as error:
            raise ValueError(f"image {row} cannot be read: {error}") from error


def _load_pyfunc(path: str) -> PictureClassifier:
    """What MLflow calls with the directory of the network's files."""
    return PictureClassifier(Path(path))
