"""How much memory a training takes."""

import os
import resource
import sys
from pathlib import Path

import torch

_STATM = Path("/proc/self/statm")


def memory_in_use(device: torch.device) -> int:
    """Bytes: the most that tensors took on a GPU so far, else what this process takes of the machine's memory, or,
    where the system does not say that in a file, as on macOS, the most that it took so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        # In bytes on macOS, elsewhere in units of 1,024.
        return peak if sys.platform == "darwin" else 1024 * peak
    return pages * os.sysconf("SC_PAGE_SIZE")
