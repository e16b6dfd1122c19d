"""A bundle: a found network as a directory that executes nothing. It needs no packages of the search."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.architecture import Architecture
from trainers.bundle.contents import Bundle
from trainers.bundle.document import read_bundle
from trainers.data.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import nn

    from trainers.bundle.prediction import Prediction


@dataclass(frozen=True, slots=True)
class OpenBundle:
    """A bundle and where it lies. `contents` is all that it says: recipe, data, where the network comes from."""

    directory: Path
    contents: Bundle

    @property
    def architecture(self) -> Architecture:
        """The network's description."""
        return self.contents.architecture

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the network's outputs in their order, None where nobody knows them."""
        return self.contents.class_names

    @property
    def preprocessing(self) -> Preprocessing:
        """What is done to a picture before the network sees it."""
        return self.contents.input_rule

    def network(self) -> "nn.Module":
        """The network with its weights, on the CPU, in evaluation mode. Raises UserError where it has none."""
        from trainers.bundle.files import read_model

        return read_model(self.directory)

    def predict(self, images: Iterable[str | Path]) -> "list[Prediction]":
        """What the network takes the pictures in these files for, in their order.

        A `Prediction` has the `image`, its `guesses`, the most probable class first, each with `name` and
        `probability`, and the `problem` of a picture that cannot be read. Raises UserError where the bundle has no
        weights.
        """
        from trainers.bundle.prediction import predict

        return list(predict(self.directory, self.contents, [str(image) for image in images]))


def open_bundle(directory: str | Path) -> OpenBundle:
    """The bundle in a directory. Raises UserError where there is none, or it is damaged."""
    return OpenBundle(Path(directory), read_bundle(Path(directory)))
