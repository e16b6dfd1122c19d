"""The Triton kernels compiled ahead, without a GPU: nothing spills, and products are those of tensor cores."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.attention_resources import DEVICES, SHAPES, STEM, floor_of

pytest.importorskip("triton", reason="Triton is made for Linux on x86-64")

PROJECT = Path(__file__).resolve().parents[3]
MOST_REGISTERS = 255
# Of a multiprocessor; the first is less than any from sm_80 on has.
MOST_SHARED_BYTES = 96 * 1024
REGISTERS_OF_A_MULTIPROCESSOR = 65_536
ALL_DEVICES = ("80", "86", "90", "100")


def printed(directory: Path, *words: str) -> str:
    """What a program prints that compiles kernels."""
    result = subprocess.run(
        [sys.executable, *words],
        cwd=PROJECT,
        # The interpreter, which the other tests run, compiles nothing.
        env=os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(directory / "cache")},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def compiled_ahead(directory: Path, *arguments: str) -> list[dict[str, Any]]:
    path = directory / "resources.json"
    printed(directory, "tests/benchmarks/attention_resources.py", "--json", str(path), *arguments)
    resources: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["resources"]
    return resources


def check(resources: list[dict[str, Any]]) -> None:
    for one in resources:
        assert one["stack"] == 0 and one["registers"] <= MOST_REGISTERS, one
        assert one["shared"] <= MOST_SHARED_BYTES and one["mma"] > 0, one


def test_nothing_spills_where_most_time_goes(tmp_path: Path) -> None:
    resources = compiled_ahead(tmp_path, "--capabilities", "90", "--shapes", "56×56×64", STEM)
    assert len(resources) == 3 + 2
    check(resources)


@pytest.mark.slow
def test_nothing_spills_on_any_device(tmp_path: Path) -> None:
    resources = compiled_ahead(tmp_path)
    assert len(resources) == 3 * (3 * len(SHAPES) + 2)
    check(resources)


@pytest.mark.parametrize(
    ("capability", "few"), [("86", True), *(pytest.param(each, False, marks=pytest.mark.slow) for each in ALL_DEVICES)]
)
def test_all_that_the_kernels_take_compiles_and_can_be_launched(capability: str, few: bool, tmp_path: Path) -> None:
    """86 is a consumer's card, whose programs have the least shared memory."""
    words = ["-m", "tests.search_spaces.attention.compile_ranges", capability, *(["--few"] if few else [])]
    found = json.loads(printed(tmp_path, *words))
    assert len(found) == (3 * 3 + 2 if few else 3 * 31 + 2 * 13)
    for one in found:
        assert one["shared"] <= MOST_SHARED_BYTES, one
        if not one["kernel"].startswith("attend_blocks"):
            assert one["stack"] == 0, one
        assert all(programs <= 65_535 for programs in one["grid"][1:]), one
        assert 32 * one["warps"] * one["registers"] <= REGISTERS_OF_A_MULTIPROCESSOR, one


def test_floors() -> None:
    for shape, (side, channels) in SHAPES.items():
        floor = floor_of(shape, 7, 2)
        # Forward and twice that backward: q·k, q·r and the weighted sum, 2 operations each.
        assert floor.operations == 3 * 3 * 2 * 49 * 2 * side**2 * 8 * channels
        assert floor.bytes < floor.tile_bytes < 2 * floor.bytes
        assert floor.tile_operations > floor.operations * 2 / 3
        for device in DEVICES:
            assert 0 < floor.least_ms(device) <= floor.predicted_ms(device)
    stem = floor_of(STEM, 4, 2)
    # Six projections of 3 colours, and three products with each of 16 pixels.
    assert stem.operations == 3 * 2 * 2 * 224**2 * 64 * (6 * 3 + 3 * 16)
    assert stem.bytes == 2 * 2 * 2 * 224**2 * (3 + 64)
    assert all(0 < stem.least_ms(device) <= stem.predicted_ms(device) for device in DEVICES)
