"""The one place through which torchvision is imported."""

import importlib.util
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import torch


@lru_cache(maxsize=1)
def torchvision() -> ModuleType:
    """The torchvision package, with its datasets and transforms.v2.

    A torchvision built for CUDA cannot load its operators beside a CPU build of torch, and then refuses to be imported
    because two of them are unknown. They are declared here, without a kernel, in that case only: data sets and
    transforms need neither.
    """
    if not _operators_load():
        # Kept alive for as long as the process: the declarations go when the library object does.
        _declared.append(_declare_operators())
    import torchvision
    import torchvision.datasets
    import torchvision.transforms.v2

    return torchvision


_declared: list[torch.library.Library] = []


def _operators_load() -> bool:
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("torchvision is not installed", name="torchvision")
    try:
        for library in Path(spec.origin).parent.glob("_C*.so"):
            torch.ops.load_library(str(library))
    except OSError:
        return False
    return True


def _declare_operators() -> torch.library.Library:
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library
