"""What is known of the GPU at hand: what was tuned on it, else what `measured.json` says of its kind
or of one like it, else nothing."""

import importlib.metadata
import json
import logging
from functools import cache
from pathlib import Path
from typing import Any

import torch

from search_spaces.attention.device_table import (
    DeviceKey,
    DeviceTable,
    Measurement,
    cache_files,
    kernels_digest,
    read_table,
    table_from_json,
)
from search_spaces.errors import UserError, first_line
from search_spaces.programs import program

logger = logging.getLogger(__name__)

# By torch's name of the device.
MEASURED: dict[str, Any] = json.loads(Path(__file__).with_name("measured.json").read_text(encoding="utf-8"))["devices"]


def is_triton_fastest(
    measurements: tuple[Measurement, ...], operation: str, dtype: str, channels: int, extent: int
) -> bool | None:
    """Whether the kernels were faster than plain torch on what was measured nearest to this; None where nothing was.

    Nearest are the channels of a head, by their ratio, and then the extent.
    """
    known = [one for one in measurements if (one.operation, one.dtype) == (operation, dtype)]
    if not known:
        return None

    def distance(one: Measurement) -> tuple[float, int]:
        return max(one.channels, channels) / min(one.channels, channels), abs(one.extent - extent)

    least = min(map(distance, known))
    nearest = [one for one in known if distance(one) == least]
    return sum(one.triton_ms for one in nearest) < sum(one.blocks_ms for one in nearest)


@cache
def device_table(index: int | None) -> DeviceTable:
    """What is known of this CUDA device (None: the current one). Read once a process. A file that cannot be read or is
    damaged is warned of, and counts as none."""
    key = device_key(index)
    for path in cache_files(key):
        try:
            table = read_table(path, key)
        except (OSError, UserError) as error:
            logger.warning(
                "what was tuned for attention on this device is not used: %s `%s` makes it anew.",
                first_line(error),
                program("search_spaces/attention/tune.py"),
            )
            break
        if table is not None:
            return table
    return _committed(key)


def _committed(key: DeviceKey) -> DeviceTable:
    """What is committed of a device, else of others of its compute capability, whose kernels are the same machine code;
    of tiles and of times, each, the first."""
    alike = [name for name, found in MEASURED.items() if found["capability"] == key.capability]
    tables = [measured_table(name) for name in (key.name, *alike) if name in MEASURED]
    return DeviceTable(
        next((table.tiles for table in tables if table.tiles), {}),
        next((table.measurements for table in tables if table.measurements), ()),
    )


def measured_table(name: str) -> DeviceTable:
    """What `measured.json` has of a device."""
    content = {part: found for part, found in MEASURED[name].items() if part != "capability"}
    return table_from_json(content, f"measured.json, {name}")


def device_key(index: int | None) -> DeviceKey:
    """What tiles and times of this CUDA device are known by."""
    properties = torch.cuda.get_device_properties(torch.device("cuda") if index is None else index)
    return DeviceKey(
        name=properties.name,
        capability=f"{properties.major}.{properties.minor}",
        triton=_version("triton"),
        torch=str(torch.__version__),
        kernels=kernels_digest(),
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"
