"""Tuning, with kernels in Triton's interpreter and a clock of the test's own: what is tried, chosen, kept and said."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from search_spaces.attention import measurements, tune
from search_spaces.attention import tuning as tuning_procedure
from search_spaces.attention.device_table import (
    DeviceKey,
    DeviceTable,
    Measurement,
    cache_file,
    read_table,
    write_table,
)
from search_spaces.attention.triton_tiles import LOCAL_PASSES, TileChoice, case_for, is_possible, stem_case_for
from search_spaces.attention.tuning import Run, Shape, Tuning, best_choice, candidates

pytest.importorskip("triton", reason="Triton is made for Linux on x86-64")

needs_interpreter = pytest.mark.skipif(torch.cuda.is_available(), reason="compiled for the GPU that is here")
KEY = DeviceKey("A GPU", "9.0", "3.7.1", "2.13.0", "0123456789ab")
FASTER, BROKEN = TileChoice(1, 16, 16, 4, 1), TileChoice(0, 16, 16, 4, 1)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(tuning_procedure, "HEADS", 1)
    yield cache_file(KEY)
    measurements.device_table.cache_clear()


def tuning(said: list[str]) -> Tuning:
    """Each run takes half as long as the one before it, so that the last tile that works is the best."""
    times = iter(2.0**-power for power in range(1000))

    def clock(run: Run) -> float:
        return next(times)

    return Tuning("cpu", 1, (Shape(1, 2),), Shape(1, 2), lambda case: (FASTER, BROKEN), clock, said.append)


@needs_interpreter
def test_what_is_found_is_added_to_what_was_known(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = DeviceTable(
        {case_for("keys", 56, 56, 8, 7, "bfloat16"): FASTER}, (Measurement("local", "bfloat16", 8, 7, 56, 1.0, 2.0),)
    )
    write_table(cache, KEY, before)
    said: list[str] = []
    assert tune.keep_tuned(tuning(said), [torch.float32], [3], KEY, cache) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"kept in {cache}"
    table = read_table(cache, KEY)
    assert table is not None
    case = case_for("queries", 1, 1, 2, 3, "float32")
    assert table.tiles[case] == table.tiles[stem_case_for("stem backward", 2, "float32")] == FASTER
    assert len(table.tiles) == 1 + 5 and before.tiles.items() <= table.tiles.items()
    # There are no programs of no heads: that is said, and the others are tried all the same.
    assert sum("heads=0" in line for line in said) == 5
    assert [(one.operation, one.dtype, one.extent) for one in table.measurements] == [
        ("local", "bfloat16", 7),
        ("local", "float32", 3),
        ("stem", "float32", 4),
    ]


@needs_interpreter
def test_where_nothing_can_be_kept_it_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert tune.keep_tuned(tuning([]), [torch.float32], [3], KEY, tmp_path / "file" / KEY.file_name) == 1
    printed = capsys.readouterr()
    assert len(json.loads(printed.out)["tiles"]) == 5
    left_out, error = printed.err.splitlines()
    assert "left out" in left_out and "cannot be written" in error


def test_another_tile_has_to_be_clearly_faster() -> None:
    first, *others = (TileChoice(1, 16, 16, warps, 1) for warps in (1, 2, 4))
    times = dict(zip([first, *others], (1.0, 0.985, float("inf")), strict=True))
    assert best_choice(first, others, times.__getitem__) == first
    times[others[1]] = 0.9
    assert best_choice(first, [first, *others], times.__getitem__) == others[1]


def test_shapes_that_are_one_case_are_tuned_once() -> None:
    shapes = (Shape(56, 8), Shape(32, 8))
    cases = {
        case_for(part, shape.side, shape.side, shape.channels, 7, "bfloat16")
        for shape in shapes
        for part in LOCAL_PASSES
    }
    assert len(cases) == len(LOCAL_PASSES)


def test_candidates_are_such_as_there_are_kernels_of() -> None:
    for case, number in (
        (case_for("forward", 56, 56, 8, 7, "bfloat16"), 32),
        (case_for("keys", 56, 56, 8, 7, "bfloat16"), 20),
        (stem_case_for("stem backward", 16, "bfloat16"), 24),
    ):
        found = list(candidates(case))
        assert all(map(is_possible, found)) and len(set(found)) == len(found) == number


def test_mistakes_and_a_machine_without_a_gpu_are_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for words, code, expected in (
        (["--extents", "4"], 2, "--extents is 4: expected odd numbers from 1 to 13"),
        (["--batch", "0"], 2, "--batch is 0"),
        (["--dtypes", "float8"], 2, "float8"),
        ([], 1, "need a CUDA device, and none is here"),
    ):
        assert tune.main(words) == code
        assert expected in capsys.readouterr().err
    assert not os.path.exists(os.environ["TRITON_CACHE_DIR"])
