"""The one place through which torchvision is imported."""

from functools import lru_cache
from types import ModuleType

from trainers.data.box_suppression import suppressed
from trainers.data.torchvision_operators import declare_missing_operators


@lru_cache(maxsize=1)
def torchvision() -> ModuleType:
    """The torchvision package, with its datasets and transforms.v2, whatever builds of it and of torch there are.

    Where its operators do not load, detectors have `trainers.data.box_suppression` in the place of `nms`.
    """
    are_missing = declare_missing_operators()
    import torchvision
    import torchvision.datasets
    import torchvision.transforms.v2

    if are_missing:
        torchvision.ops.boxes.nms = suppressed

    return torchvision
