"""Triton's kernels compiled for a GPU that is not there: the calls that would launch them compile them, and end there.

What is compiled follows from the arguments of the call as it does on a GPU: dtypes, sizes that are 1 or multiples of
16, aligned addresses. Triton's interpreter must be off.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Compiled:
    """What a thread and a program of one compiled kernel need, in registers and bytes, its assembly's products on
    tensor cores, and the grid that it would have been launched on."""

    kernel: str
    capability: int
    registers: int
    stack: int
    shared: int
    mma: int
    warps: int
    grid: tuple[int, ...]


class NoDevice:
    """As much of a driver as is asked before anything is launched."""

    def __init__(self, capability: int) -> None:
        from triton.backends.compiler import GPUTarget

        self.target = GPUTarget("cuda", capability, 32)

    def get_current_target(self) -> Any:
        return self.target

    def get_current_device(self) -> str:
        """A device by its kind, so that kernels of several are kept apart."""
        return f"sm_{self.target.arch}"

    def get_current_stream(self, device: object) -> int:
        return 0


@contextmanager
def compiling_for(capability: int) -> Iterator[list[Compiled]]:
    """Within it launches compile for this compute capability, without its dot. Yields what was compiled so far."""
    from triton.runtime.driver import driver
    from triton.runtime.jit import JITFunction

    found: list[Compiled] = []
    run = JITFunction.run

    def compile_only(kernel: Any, *arguments: Any, grid: Any, warmup: bool, **options: Any) -> None:
        compiled = run(kernel, *arguments, grid=grid, warmup=True, **options)
        found.append(_resources(kernel.__name__, capability, compiled, tuple(grid)))

    driver.set_active(NoDevice(capability))
    JITFunction.run = compile_only
    try:
        yield found
    finally:
        JITFunction.run = run


def _resources(name: str, capability: int, compiled: Any, grid: tuple[int, ...]) -> Compiled:
    with tempfile.TemporaryDirectory() as directory:
        cubin = Path(directory) / "kernel.cubin"
        cubin.write_bytes(compiled.asm["cubin"])
        usage = subprocess.run(
            [_cuobjdump(), "--dump-resource-usage", str(cubin)], capture_output=True, text=True, check=True
        ).stdout
    numbers = re.search(r"REG:(\d+) STACK:(\d+)", usage)
    assert numbers is not None, usage
    products = re.findall(r"\bw?g?mma\.\w+\.sync|mma\.sync|wgmma\.mma_async|tcgen05\.mma", compiled.asm["ptx"])
    return Compiled(
        kernel=name,
        capability=capability,
        registers=int(numbers[1]),
        stack=int(numbers[2]),
        shared=compiled.metadata.shared,
        mma=len(products),
        warps=compiled.metadata.num_warps,
        grid=grid,
    )


def _cuobjdump() -> str:
    """The one that comes with Triton."""
    from triton.backends import nvidia

    path = Path(nvidia.__path__[0]) / "bin" / "cuobjdump"
    assert os.access(path, os.X_OK), path
    return str(path)
