"""Where the Triton kernels were measured to be the fastest: `measured.json`, which the benchmark's results go into."""

import json
from pathlib import Path

import torch

# {device as torch names it: dtypes as torch names them}
TRITON_FASTEST: dict[str, list[str]] = json.loads(
    Path(__file__).with_name("measured.json").read_text(encoding="utf-8")
)["devices"]


def is_triton_fastest(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether somebody measured it on such a device, for such numbers."""
    return bool(TRITON_FASTEST) and str(dtype).removeprefix("torch.") in TRITON_FASTEST.get(_name(device), ())


def _name(device: torch.device) -> str:
    # Properties are what torch.compile can look up while it compiles.
    name: str = torch.cuda.get_device_properties(device).name
    return name
