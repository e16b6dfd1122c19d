"""Whether the Triton kernels compute attention on the device at hand; where plain torch does, that and why are said."""

import logging
import os
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Literal, TypeVar

import torch

from search_spaces.attention.measurements import device_table, is_triton_fastest
from search_spaces.attention.triton_start import start_problem
from search_spaces.attention.triton_tiles import EXTENTS, MOST_CHANNELS, MOST_COLOURS
from search_spaces.programs import program

# Attention of local neighbourhoods, and of the stem's blocks.
Operation = Literal["local", "stem"]

# What the kernels are compiled ahead for, and tested to need no more than there is, begins here.
LEAST_CAPABILITY = (8, 0)

TUNE = "search_spaces/attention/tune.py"

Function = TypeVar("Function", bound=Callable[..., object])

logger = logging.getLogger(__name__)


def shape_problem(operation: Operation, dtype: torch.dtype, channels: int, extent: int, colours: int = 0) -> str | None:
    """What of this the kernels do not take: "take …, not …"; None where they take all of it. `channels` are those of a
    head, `extent` that of the neighbourhood or the side of the stem's blocks, `colours` those of the stem's images."""
    if dtype not in (torch.float32, torch.bfloat16, torch.float16):
        return f"take float32, bfloat16 and float16, not {_name(dtype)}"
    if operation == "local" and extent not in EXTENTS:
        return f"take spatial extents up to {EXTENTS[-1]}, not {extent}"
    if channels > MOST_CHANNELS:
        return f"take up to {MOST_CHANNELS} channels a head, not {channels}"
    if colours > MOST_COLOURS:
        return f"take images of up to {MOST_COLOURS} colours, not {colours}"
    return None


def device_problem(capability: tuple[int, int]) -> str | None:
    """Why the kernels cannot run on a device of this compute capability; None where they can."""
    if not has_triton():
        return "need the package triton, which is not installed"
    if capability < LEAST_CAPABILITY:
        needed, found = (".".join(map(str, one)) for one in (LEAST_CAPABILITY, capability))
        return f"need a GPU of compute capability {needed} or more, and this has {found}"
    return None


def answer_of_a_graph(function: Function) -> Function:
    """A graph that is being compiled holds the answer, not the way to it. It is `torch.compiler.assume_constant_result`
    without that loading the compiler for everybody, which takes seconds."""
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


@answer_of_a_graph
def takes_triton(
    operation: Operation, index: int | None, dtype: torch.dtype, channels: int, extent: int, colours: int = 0
) -> bool:
    """Whether the kernels are the fastest right way on this CUDA device (None: the current one).

    Where they are not, a warning says why, once a process.
    """
    problem = _why_not(operation, index, dtype, channels, extent, colours)
    if problem is not None:
        _say(problem)
    return problem is None


# Asked by every layer in every step.
@cache
def _why_not(
    operation: Operation, index: int | None, dtype: torch.dtype, channels: int, extent: int, colours: int
) -> str | None:
    problem = device_problem(_capability(index)) or shape_problem(operation, dtype, channels, extent, colours)
    if problem is not None:
        return problem
    fastest = is_triton_fastest(device_table(index).measurements, operation, _name(dtype), channels, extent)
    what = f"{'the stem' if operation == 'stem' else 'local attention'} in {_name(dtype)}"
    if fastest is None:
        return f"were not measured on this device for {what}: `{program(TUNE)}` does that"
    return start_problem() if fastest else f"were measured to be slower here for {what}"


@answer_of_a_graph
def triton_problem(
    operation: Operation,
    device: str,
    index: int | None,
    dtype: torch.dtype,
    channels: int,
    extent: int,
    colours: int = 0,
) -> str | None:
    """Why the kernels cannot be had for this where they are asked for; None where they can."""
    if device == "cuda":
        unfit = device_problem(_capability(index)) or shape_problem(operation, dtype, channels, extent, colours)
        return unfit or start_problem()
    if device != "cpu" or os.environ.get("TRITON_INTERPRET") != "1":
        return f"run on CUDA, and the input is on {device}"
    # In the interpreter, whose products are NumPy's, float64 is as good as others.
    interpreted = torch.float32 if dtype == torch.float64 else dtype
    return device_problem(LEAST_CAPABILITY) or shape_problem(operation, interpreted, channels, extent, colours)


def has_triton() -> bool:
    """Whether Triton is installed. It is not imported."""
    return _TRITON_IS_INSTALLED


def is_installed(package: str) -> bool:
    """Whether a package can be found, which none that it lies in is imported for."""
    try:
        return find_spec(package) is not None
    except ImportError:
        return False


_TRITON_IS_INSTALLED = is_installed("triton")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _capability(index: int | None) -> tuple[int, int]:
    return torch.cuda.get_device_capability(index)


@cache
def _say(problem: str) -> None:
    logger.warning("attention on this GPU is computed in plain torch, since the Triton kernels %s", problem)
