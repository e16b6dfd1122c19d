"""A bundle: a found network as a directory that executes nothing. It needs no packages of the search."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.architecture import Architecture
from search_spaces.errors import UserError
from trainers.bundle.contents import Bundle
from trainers.bundle.document import read_bundle
from trainers.bundle.given_pictures import given_picture
from trainers.data.preprocessing import Preprocessing
from vision_architecture_search.given import absolute_path

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

    def predict(self, images: str | Path | Iterable[str | Path]) -> "list[Prediction]":
        """What the network takes the pictures in these files for, or in this one, in their order.

        A `Prediction` has the `image`, its `guesses`, the most probable class first, each with `name` and
        `probability`, and the `problem` of a picture that cannot be read, which has no guesses; a `remark` says that
        an animation's first frame was taken. Raises UserError where the bundle has no weights, and for anything but
        paths.
        """
        from trainers.bundle.prediction import Prediction, predict

        files: list[str | Prediction] = []
        given: Iterable[object] = [images]
        if isinstance(images, Iterable) and not isinstance(images, (str, bytes)):
            given = images
        for image in given:
            if not isinstance(image, (str, Path)):
                raise UserError(
                    f"an image is of type {type(image).__name__!r}: expected the path of a file, or several; a picture "
                    "that is in memory alone is to be saved first."
                )
            path, problem = given_picture(str(image))
            files.append(path if problem is None else Prediction(str(image), problem=problem))
        named = [file for file in files if isinstance(file, str)]
        predicted = predict(self.directory, self.contents, named)
        return [next(predicted) if isinstance(file, str) else file for file in files]


def open_bundle(directory: str | Path) -> OpenBundle:
    """The bundle in a directory. Raises UserError where there is none, or it is damaged."""
    found = absolute_path("directory", directory)
    return OpenBundle(found, read_bundle(found))
