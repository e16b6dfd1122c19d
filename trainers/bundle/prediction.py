"""What a bundle's network makes of pictures.

Shapes: B batch, C channels, H height, W width.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from search_spaces.errors import UserError
from trainers.bundle.contents import Bundle
from trainers.bundle.files import read_model
from trainers.data.decoding import read_single_image, remark_on_frames
from trainers.pictures.network_input import network_input

BATCH = 32


@dataclass(frozen=True, slots=True)
class Guess:
    """A class, by its place among the network's outputs and its name, and how probable it is, 0 to 1."""

    index: int
    name: str
    probability: float

    def to_json(self) -> dict[str, Any]:
        return {"class": self.name, "index": self.index, "probability": self.probability}


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was made of a picture, the most probable class first, or why it could not be read.

    `remark` is what has to be said where not all of the file was taken, as of an animation.
    """

    image: str
    guesses: tuple[Guess, ...] = ()
    problem: str | None = None
    remark: str | None = None

    def to_json(self) -> dict[str, Any]:
        if self.problem is not None:
            return {"image": self.image, "error": self.problem}
        best = self.guesses[0]
        predictions = [guess.to_json() for guess in self.guesses]
        document = {"image": self.image, "class": best.name, "probability": best.probability}
        return {**document, "predictions": predictions, **({} if self.remark is None else {"remark": self.remark})}


def predict(directory: Path, bundle: Bundle, images: Sequence[str]) -> Iterator[Prediction]:
    """The predictions in the order of the images, all classes of each. Raises UserError where there are no weights."""
    model = read_model(directory)
    names = bundle.class_names or tuple(f"class {index}" for index in range(bundle.data_summary.classes))
    for start in range(0, len(images), BATCH):
        read = {image: _input_or_problem(image, bundle) for image in images[start : start + BATCH]}
        arrays = {image: found for image, found in read.items() if not isinstance(found, UserError)}
        probabilities = _probabilities(model, list(arrays.values()))
        of = dict(zip(arrays, probabilities, strict=True))
        for image in images[start : start + BATCH]:
            found = read[image]
            if isinstance(found, UserError):
                yield Prediction(image, problem=str(found))
            else:
                yield Prediction(image, _guesses(names, of[image]), remark=remark_on_frames(image))


def _input_or_problem(image: str, bundle: Bundle) -> "np.ndarray[Any, np.dtype[np.float32]] | UserError":
    try:
        return network_input(read_single_image(image), bundle.input_rule.to_json())
    except UserError as error:
        return error


def _probabilities(model: torch.nn.Module, inputs: Sequence[Any]) -> list[list[float]]:
    if not inputs:
        return []
    with torch.inference_mode():
        logits = model(torch.from_numpy(np.stack(inputs)))
        probabilities: list[list[float]] = logits.double().softmax(1).tolist()
    return probabilities


def _guesses(names: Sequence[str], probabilities: Sequence[float]) -> tuple[Guess, ...]:
    # Of equally probable classes the first comes first.
    order = sorted(range(len(names)), key=lambda index: -probabilities[index])
    return tuple(Guess(index, names[index], probabilities[index]) for index in order)
