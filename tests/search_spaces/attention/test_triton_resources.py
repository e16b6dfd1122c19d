"""The Triton kernels compiled ahead, without a GPU: nothing spills, and products are those of tensor cores."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.attention_resources import DEVICES, SHAPES, floor_of

pytest.importorskip("triton", reason="Triton is made for Linux on x86-64")

PROJECT = Path(__file__).resolve().parents[3]
MOST_REGISTERS = 255
# Of a multiprocessor, less than any of the three has.
MOST_SHARED_BYTES = 96 * 1024


def compiled_ahead(directory: Path, *arguments: str) -> list[dict[str, Any]]:
    path = directory / "resources.json"
    result = subprocess.run(
        [sys.executable, "tests/benchmarks/attention_resources.py", "--json", str(path), *arguments],
        cwd=PROJECT,
        # The interpreter, which the other tests run, compiles nothing.
        env=os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(directory / "cache")},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert result.returncode == 0, result.stderr
    resources: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["resources"]
    return resources


def check(resources: list[dict[str, Any]]) -> None:
    for one in resources:
        assert one["stack"] == 0 and one["registers"] <= MOST_REGISTERS, one
        assert one["shared"] <= MOST_SHARED_BYTES and one["mma"] > 0, one


def test_nothing_spills_where_most_time_goes(tmp_path: Path) -> None:
    resources = compiled_ahead(tmp_path, "--capabilities", "90", "--shapes", "56×56×64")
    assert len(resources) == 3
    check(resources)


@pytest.mark.slow
def test_nothing_spills_on_any_device(tmp_path: Path) -> None:
    resources = compiled_ahead(tmp_path)
    assert len(resources) == 3 * len(SHAPES) * 3
    check(resources)


def test_floors() -> None:
    for shape, (side, channels) in SHAPES.items():
        floor = floor_of(shape, 7, 2)
        # Forward and twice that backward: q·k, q·r and the weighted sum, 2 operations each.
        assert floor.operations == 3 * 3 * 2 * 49 * 2 * side**2 * 8 * channels
        assert floor.bytes < floor.tile_bytes < 2 * floor.bytes
        assert floor.tile_operations > floor.operations * 2 / 3
        for device in DEVICES:
            assert 0 < floor.least_ms(device) <= floor.predicted_ms(device)
