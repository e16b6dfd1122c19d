"""Triton where it cannot start, or cannot keep what it compiles: that is said, and nothing fails for it."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from search_spaces.attention import triton_start
from search_spaces.attention.triton_start import keep_what_is_compiled, start_problem

knobs = pytest.importorskip("triton.knobs", reason="Triton is made for Linux on x86-64")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    start_problem.cache_clear()
    yield
    start_problem.cache_clear()
    knobs.cache.reset()


@pytest.mark.skipif(torch.cuda.is_available(), reason="it starts on the GPU that is here")
def test_what_triton_says_is_the_reason() -> None:
    problem = start_problem()
    assert problem is not None and "cannot be launched from here" in problem and "active drivers" in problem


def test_a_cache_that_can_be_written_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keep_what_is_compiled()
    assert list((tmp_path / "cache").iterdir()) == [] and not caplog.records
    assert knobs.cache.dir == str(tmp_path / "cache")


@pytest.mark.parametrize("kind", ["a file", "full"])
def test_where_nothing_can_be_written_a_process_keeps_its_own(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    if kind == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (triton_start.BYTES_OF_KERNELS // 2, before[1]))
    else:
        (tmp_path / "cache").touch()
    try:
        keep_what_is_compiled()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    (record,) = caplog.records
    assert "Triton cannot write into" in record.message and "TRITON_CACHE_DIR names another folder" in record.message
    own = Path(knobs.cache.dir)
    assert own.is_dir() and own.name.startswith("triton-")


def test_without_room_anywhere_that_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    monkeypatch.setattr("tempfile.mkdtemp", full)
    assert "No space left on device" in str(start_problem())
