"""What was found out on one kind of GPU about the Triton kernels, as data: their best tiles, and their times.

`python -m search_spaces.attention.tune` finds it out and keeps it in a file beside the kernels that Triton compiled,
one for each kind of device and version of Triton, torch and the kernels. What is committed is in `measured.json`.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from search_spaces.attention.triton_tiles import (
    COMMITTED,
    Choices,
    TileCase,
    TileChoice,
    committed_key,
    is_possible,
)
from search_spaces.canonical_json import canonical_json
from search_spaces.errors import UserError
from search_spaces.json_fields import field_kinds, read_dataclass, read_object
from search_spaces.shared_files import replace_shared_file

KERNEL_FILES = ("triton_kernels.py", "triton_kernels_backward.py", "triton_stem_kernels.py")


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """What tiles and times hold for: the device as torch names it, its compute capability, the versions of Triton and
    torch, and a digest of the kernels."""

    name: str
    capability: str
    triton: str
    torch: str
    kernels: str

    @property
    def file_name(self) -> str:
        """The name of the file for it, which differs for whatever differs in the key."""
        words = f"attention {self.name} sm{self.capability} triton{self.triton} torch{self.torch} {self.kernels}"
        return re.sub(r"[^A-Za-z0-9.]+", "-", words) + ".json"


@dataclass(frozen=True, slots=True)
class Measurement:
    """Forward and backward of one shape by Triton and by plain torch, in milliseconds. `operation` is "local" or
    "stem", `channels` are those of a head; a stem's `extent` is the side of its blocks."""

    operation: str
    dtype: str
    channels: int
    extent: int
    width: int
    triton_ms: float
    blocks_ms: float


@dataclass(frozen=True)
class DeviceTable:
    """What is known of a kind of device."""

    tiles: Choices = field(default_factory=dict)
    measurements: tuple[Measurement, ...] = ()


def cache_file(key: DeviceKey) -> Path:
    """Where the table of a device is kept: in the folder of Triton's own cache."""
    return cache_directory() / key.file_name


def cache_files(key: DeviceKey) -> tuple[Path, ...]:
    """Where the table of a device may be: `torch.compile` sets TRITON_CACHE_DIR to a folder of its own, in the whole
    process, where nobody has set it."""
    return tuple(dict.fromkeys((cache_file(key), _home_cache_directory() / key.file_name)))


def cache_directory() -> Path:
    """The folder in which Triton keeps what it compiled."""
    directory = os.environ.get("TRITON_CACHE_DIR")
    return Path(directory) if directory else _home_cache_directory()


def _home_cache_directory() -> Path:
    return Path(os.environ.get("TRITON_HOME") or os.path.expanduser("~")) / ".triton" / "cache"


def kernels_digest() -> str:
    """What the kernels are known by."""
    digest = hashlib.sha256()
    for name in KERNEL_FILES:
        digest.update(Path(__file__).with_name(name).read_bytes())
    return digest.hexdigest()[:12]


def table_to_json(table: DeviceTable) -> dict[str, Any]:
    """The table as lists of objects."""
    return {
        "tiles": [asdict(case) | asdict(choice) for case, choice in table.tiles.items()],
        "measurements": [asdict(measurement) for measurement in table.measurements],
    }


def table_from_json(data: object, what: str) -> DeviceTable:
    """The table of such lists. Raises UserError for anything else, and for tiles that no kernel can have."""
    content = read_object(data, what, ["tiles", "measurements"])
    for name, rows in content.items():
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            raise UserError(f"{what}: {name} is no list of objects.")
    measurements = tuple(read_dataclass(Measurement, row, f"{what}: measurement") for row in content["measurements"])
    return DeviceTable(dict(_tile(row, what) for row in content["tiles"]), measurements)


def _tile(row: Mapping[str, Any], what: str) -> tuple[TileCase, TileChoice]:
    names = list(field_kinds(TileCase))
    case = read_dataclass(TileCase, {name: row[name] for name in row if name in names}, f"{what}: tile")
    choice = read_dataclass(TileChoice, {name: row[name] for name in row if name not in names}, f"{what}: tile")
    if committed_key(case) not in COMMITTED or not is_possible(choice):
        raise UserError(f"{what}: no kernel has the tile {dict(row)}.")
    return case, choice


def write_table(path: Path, key: DeviceKey, table: DeviceTable) -> None:
    """Replaces the file, whole or not at all. Raises OSError."""
    content = {"device": asdict(key), **table_to_json(table)}
    replace_shared_file(path, json.dumps(content | {"checksum": _checksum(content)}, indent=1).encode())


def read_table(path: Path, key: DeviceKey) -> DeviceTable | None:
    """The table in a file; None where there is no such file. Raises OSError, and UserError for a file that is damaged
    or of another device."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is damaged.") from error
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged.") from error
    if not isinstance(content, dict) or content.pop("checksum", None) != _checksum(content):
        raise UserError(f"{path} is damaged.")
    if content.pop("device", None) != asdict(key):
        raise UserError(f"{path} is of another device.")
    return table_from_json(content, str(path))


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(content)).hexdigest()
