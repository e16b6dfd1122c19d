"""What was tuned on a device: kept in a file, read once, and left alone where it is not right."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from search_spaces.attention import measurements
from search_spaces.attention.device_table import (
    DeviceKey,
    DeviceTable,
    Measurement,
    cache_file,
    read_table,
    table_from_json,
    table_to_json,
    write_table,
)
from search_spaces.attention.triton_tiles import (
    COMMITTED,
    TileCase,
    TileChoice,
    block_tile_for,
    committed_key,
    is_possible,
    stem_case_for,
    tile_for,
)
from search_spaces.errors import UserError

KEY = DeviceKey("NVIDIA A100-SXM4-80GB", "8.0", "3.7.1", "2.13.0+cu130", "0123456789ab")
CASE = TileCase("queries", "bfloat16", 8, 7, False)
WIDE = TileCase("keys", "float16", 128, 13, True)
TABLE = DeviceTable(
    {
        CASE: TileChoice(8, 16, 32, 8, 2),
        WIDE: TileChoice(1, 32, 64, 4, 1, True, 128),
        stem_case_for("stem forward", 16, "float32"): TileChoice(2, 1, 16, 2, 1),
    },
    (Measurement("local", "bfloat16", 8, 7, 56, 1.5, 4.5),),
)


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The device at hand is KEY's."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(measurements, "device_key", lambda index: KEY)
    measurements.device_table.cache_clear()
    yield
    measurements.device_table.cache_clear()


def test_what_was_tuned_is_found_again_and_used() -> None:
    write_table(cache_file(KEY), KEY, TABLE)
    assert measurements.device_table(0) == TABLE
    tiles = measurements.device_table(0).tiles
    tuned, plain = (tile_for("queries", 56, 56, 8, 8, 7, "bfloat16", choices) for choices in (tiles, {}))
    assert (tuned.heads, tuned.pixels, tuned.window, tuned.warps, tuned.stages) == (8, 16, 32, 8, 2) and tuned != plain
    # Of another dtype, another extent, and another pass nothing was tuned.
    for part, extent, dtype in (("queries", 7, "float16"), ("queries", 13, "bfloat16"), ("keys", 7, "bfloat16")):
        found, committed = (tile_for(part, 56, 56, 8, 8, extent, dtype, choices) for choices in (tiles, {}))  # type: ignore[arg-type]
        assert found == committed
    stem = block_tile_for("stem forward", 4, 16, "float32", tiles)
    assert (stem.heads, stem.blocks, stem.warps) == (2, 1, 2)


def test_it_is_found_after_torch_has_compiled_something(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Which sets TRITON_CACHE_DIR for the whole process, where nobody had set it."""
    monkeypatch.setenv("TRITON_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TRITON_CACHE_DIR")
    write_table(cache_file(KEY), KEY, TABLE)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "torchinductor" / "triton" / "0"))
    assert measurements.device_table(0) == TABLE
    # What is in the folder that is named comes first.
    write_table(cache_file(KEY), KEY, DeviceTable())
    assert measurements.device_table(1) == DeviceTable()


def test_a_file_for_each_device_and_version() -> None:
    changes = {"name": "NVIDIA H100", "capability": "9.0", "triton": "3.8.0", "torch": "2.14.0", "kernels": "ffff"}
    keys = [KEY, *(dataclasses.replace(KEY, **{name: value}) for name, value in changes.items())]
    assert len({cache_file(key) for key in keys}) == 6
    write_table(cache_file(KEY), KEY, TABLE)
    with pytest.raises(UserError, match="of another device"):
        read_table(cache_file(KEY), keys[1])


def test_without_a_file_what_is_committed_holds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert KEY.name not in measurements.MEASURED
    assert measurements.device_table(0) == DeviceTable()
    measurements.device_table.cache_clear()
    monkeypatch.setitem(measurements.MEASURED, KEY.name, {"capability": KEY.capability, **table_to_json(TABLE)})
    assert measurements.device_table(0) == TABLE
    assert not caplog.records


def test_what_a_device_lacks_is_that_of_another_of_its_compute_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    others = DeviceTable({}, (dataclasses.replace(TABLE.measurements[0], triton_ms=0.5),))
    tables = {
        "older": ("0.1", TABLE),
        KEY.name: (KEY.capability, DeviceTable(TABLE.tiles)),
        "alike": (KEY.capability, others),
    }
    for name, (capability, table) in tables.items():
        monkeypatch.setitem(measurements.MEASURED, name, {"capability": capability, **table_to_json(table)})
    assert measurements.device_table(0) == DeviceTable(TABLE.tiles, others.measurements)
    measurements.device_table.cache_clear()
    monkeypatch.delitem(measurements.MEASURED, KEY.name)
    monkeypatch.setitem(measurements.MEASURED, "alike", {"capability": KEY.capability, **table_to_json(TABLE)})
    assert measurements.device_table(0) == TABLE
    measurements.device_table.cache_clear()
    monkeypatch.delitem(measurements.MEASURED, "alike")
    assert measurements.device_table(0) == DeviceTable()


@pytest.mark.parametrize("damage", ["cut off", "one number", "no JSON", "not text", "a list", "a directory"])
def test_a_damaged_file_is_said_once_and_left(damage: str, caplog: pytest.LogCaptureFixture) -> None:
    path = cache_file(KEY)
    write_table(path, KEY, TABLE)
    content = path.read_bytes()
    if damage == "a directory":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(
            {
                "cut off": content[: len(content) // 2],
                "one number": content.replace(b"1.5", b"1.6"),
                "no JSON": b"",
                "not text": b"\xff\xfe",
                "a list": b"[]",
            }[damage]
        )
    for index in (0, 1):
        assert measurements.device_table(index) == DeviceTable()
        measurements.device_table(index)
    assert len(caplog.records) == 2  # once for each device
    assert path.name in caplog.text or "Is a directory" in caplog.text
    assert "search_spaces.attention.tune" in caplog.text


def test_tiles_that_no_kernel_has_are_refused() -> None:
    content = table_to_json(TABLE)
    wrong = {
        "heads": 3, "pixels": 0, "warps": 0, "stages": 0, "channels": 24, "part": "sideways", "window": 8,
        "registers": -1,
    }  # fmt: skip
    for name, value in wrong.items():
        changed = json.loads(json.dumps(content))
        changed["tiles"][0][name] = value
        with pytest.raises(UserError, match="no kernel has the tile"):
            table_from_json(changed, "a table")
    with pytest.raises(UserError, match=r"heads is '4'"):
        table_from_json({**content, "tiles": [{**content["tiles"][0], "heads": "4"}]}, "a table")
    with pytest.raises(UserError, match="no list of objects"):
        table_from_json({**content, "tiles": {}}, "a table")


def test_writing_leaves_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = cache_file(KEY)
    write_table(path, KEY, DeviceTable())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_table(path, KEY, TABLE)
    assert read_table(path, KEY) == DeviceTable()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_committed_tiles_are_such_as_there_are_kernels_of() -> None:
    for (part, _, channels, larger), choice in COMMITTED.items():
        assert is_possible(choice)
        for whole in (True, False):
            case = TileCase(part, "float32", channels, 9 if larger else 7, whole)
            assert committed_key(case) == (part, False, channels, larger)
    # Of three local passes with smaller and larger extents, from one channel to 128, and of two of the stem.
    assert len(COMMITTED) == 2 * (3 * 2 * 8 + 2 * 4)
    for name in measurements.MEASURED:
        assert all(map(is_possible, measurements.measured_table(name).tiles.values()))
