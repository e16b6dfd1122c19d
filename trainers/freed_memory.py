"""Memory that a training on a CPU has freed stays with its process, for the next step to take.

Every step allocates the same activations again. glibc hands large blocks back to the kernel when they are freed, which
then clears every page anew: a fifth of the time of a small network's step at 64 pixels, as measured by
`tests/benchmarks/full_training.py`.
"""

import ctypes

import torch

# Of malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_NEVER = 2**31 - 1


def keep_freed_memory(device: torch.device) -> None:
    """From here on this process gives nothing back that it frees, if it trains on a CPU and its malloc is glibc's.

    What it takes at most grows by some tenth, by what lies between blocks of other sizes; no result changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if device.type == "cpu" and mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, _NEVER)
