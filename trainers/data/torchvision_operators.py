"""Has `import torchvision` work where its operators do not load: one built for CUDA beside a torch built for CPUs.

torchvision refuses to be imported there, because two operators are unknown. They are declared, without a kernel: data
sets, transforms and models need neither.

python -m trainers.data.torchvision_operators

has every program of the environment find them declared that imports torchvision, where that is needed: it copies this
file into the environment, beside a line that Python runs as it starts. So this file imports nothing of the project,
torch only once torchvision is asked for, and nothing else that takes long: nobody handles Ctrl-C yet.
"""

import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.abc import Loader

# The copy in an environment, and the file that Python reads as it starts.
COPY = "declared_torchvision_operators"


def declare_missing_operators() -> bool:
    """Declares the operators where they do not load, once a process. Whether they are declared so.

    Raises ModuleNotFoundError where torchvision is not installed.
    """
    import importlib.util
    from pathlib import Path

    import torch

    if hasattr(torch, _KEPT):
        return True
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("torchvision is not installed", name="torchvision")
    try:
        for library in Path(spec.origin).parent.glob("_C*.so"):
            torch.ops.load_library(str(library))
    except OSError:
        declared = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        # Kept alive for as long as the process, since the declarations go with it; this file may be there twice.
        setattr(torch, _KEPT, declared)
        return True
    return False


_KEPT = "_declared_torchvision_operators"


class _Declaring:
    """Loads torchvision, once its operators are there."""

    def __init__(self, loader: "Loader") -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        declare_missing_operators()
        self._loader.exec_module(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


class _Finder:
    """Finds torchvision to be loaded so."""

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name == "torchvision" else None
        if spec is not None and spec.loader is not None:
            declaring: Any = _Declaring(spec.loader)
            spec.loader = declaring
        return spec


def declare_on_import() -> None:
    """Has the operators declared when torchvision is imported, if ever."""
    sys.meta_path.insert(0, _Finder())


def main() -> int:
    """Mends this environment where it has to be. The exit code: 0."""
    # Here, since Python reads this file whenever it starts.
    import sysconfig
    from pathlib import Path

    packages = Path(sysconfig.get_path("purelib"))
    copy, line = packages / f"{COPY}.py", packages / f"{COPY}.pth"
    if not declare_missing_operators():
        copy.unlink(missing_ok=True)
        line.unlink(missing_ok=True)
        return 0
    copy.write_bytes(Path(__file__).read_bytes())
    line.write_text(f"import {COPY}; {COPY}.declare_on_import()\n", encoding="utf-8")
    print("torchvision was built for CUDA and torch was not: its operators are declared wherever it is imported")
    return 0


if __name__ == "__main__":
    sys.exit(main())
