"""How much memory a training takes."""

import os
from pathlib import Path

import torch


def memory_in_use(device: torch.device) -> int:
    """Bytes: the most that tensors took on a GPU so far, else what this process takes of the machine's memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
