"""How much of a GPU is in use, as the driver of the GPU says: by all that runs there, and by other programs."""

import subprocess

import torch

from cluster.gpu_memory import GpuMemory
from nas.records.whereabouts import GpuUse

LONGEST_SECONDS = 5.0


def gpu_use(device: torch.device) -> GpuUse | None:
    """The use of a device; None of a CPU."""
    if device.type != "cuda":
        return None
    free_bytes, total_bytes = torch.cuda.mem_get_info(device)
    return GpuUse(total_bytes - free_bytes, total_bytes, _utilisation(device))


def taken_by_others(device: torch.device, share: float) -> str | None:
    """What other programs hold of the memory of a GPU that is due to this process, for people; None of a CPU.

    `share` is what this process may take of it, of 1.
    """
    if device.type != "cuda":
        return None
    free_bytes, total_bytes = torch.cuda.mem_get_info(device)
    text = GpuMemory(total_bytes, free_bytes, torch.cuda.memory_reserved(device)).text_of_others(share)
    return None if text is None else f"{text} of its GPU's memory"


def _utilisation(device: torch.device) -> float | None:
    """Of 1. None where nvidia-smi is not there or does not say, as of a part of a GPU."""
    name = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    asked = ["nvidia-smi", f"--id={name}", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=LONGEST_SECONDS).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None
    return int(said) / 100 if said.isdecimal() else None
