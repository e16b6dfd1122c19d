"""A detector as plain data: the backbone's architecture, what stands on it, and what it finds."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from search_spaces.architecture import Architecture, Convolution, Operator
from search_spaces.errors import UserError, unknown_name
from search_spaces.json_fields import read_object
from search_spaces.paper_models import PAPER_ATTENTION

RETINANET, FASTER_RCNN = "retinanet", "faster_rcnn"
MODELS = (RETINANET, FASTER_RCNN)
# What the 3×3 layers of a pyramid or a head are made of: attention is that of the paper.
OPERATORS: dict[str, Operator] = {"convolution": Convolution(), "attention": PAPER_ATTENTION}


@dataclass(frozen=True, slots=True)
class DetectorDesign:
    """One of torchvision's models on a backbone, for squares of `image_size` pixels and objects of these `classes`.

    The stem is that of a network for images of `stem_image_size` pixels. `mean` and `std` are those of the values that
    the backbone takes, one a channel. Where `frozen_norms`, its batch norms stay as they are. Raises UserError where a
    value is none of these.
    """

    architecture: Architecture
    model: str
    pyramid: str
    head: str
    stem_image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    frozen_norms: bool
    image_size: int
    classes: tuple[str, ...]
    category_ids: tuple[int, ...]

    def __post_init__(self) -> None:
        check_parts(self.model, self.pyramid, self.head)

    @property
    def first_label(self) -> int:
        """The label of the first class: Faster R-CNN keeps 0 for the background."""
        return 1 if self.model == FASTER_RCNN else 0

    def to_json(self) -> dict[str, Any]:
        return {name: _plain(getattr(self, name)) for name in _FIELDS}

    @classmethod
    def from_json(cls, data: object) -> "DetectorDesign":
        """The design that `to_json` wrote. Raises UserError where it lacks something, or has more."""
        fields = read_object(data, "detector", list(_FIELDS))
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
        }
        return cls(**(values | {"architecture": Architecture.from_json(fields["architecture"])}))


def check_parts(model: str, pyramid: str, head: str) -> None:
    """Raises UserError where one of them is none that a detector can have."""
    for name, value, known in (("model", model, MODELS), ("pyramid", pyramid, OPERATORS), ("head", head, OPERATORS)):
        if value not in known:
            raise unknown_name(f"--{name}", value, known)
    if model == FASTER_RCNN and head != "convolution":
        raise UserError("--head is 'attention': the heads of faster_rcnn are fully connected, expected retinanet.")


def _plain(value: Any) -> Any:
    if isinstance(value, Architecture):
        return value.to_json()
    return list(value) if isinstance(value, tuple) else value


_FIELDS = tuple(field.name for field in dataclasses.fields(DetectorDesign))
