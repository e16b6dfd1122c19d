"""Memory of this process, beside what the test itself maps."""

import mmap
import os
import re
import sys
from pathlib import Path

import pytest
import torch

from trainers import memory_in_use as module
from trainers.memory_in_use import memory_in_use

BYTES = 200 * 2**20


def test_memory_is_that_of_this_process() -> None:
    before = memory_in_use(torch.device("cpu"))
    # Pages of its own, which no memory that was freed before can stand in for.
    with mmap.mmap(-1, BYTES) as pages:
        pages.write(b"x" * BYTES)
        assert memory_in_use(torch.device("cpu")) - before > 0.9 * BYTES


def test_where_no_file_says_so_it_is_the_most_so_far(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on macOS. Linux keeps that in a file, too; what resource says begins with that of the parent process."""
    monkeypatch.setattr(module, "_STATM", tmp_path / "missing")
    found = memory_in_use(torch.device("cpu"))
    kept = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert kept is not None
    assert 1024 * int(kept[1]) <= found < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    monkeypatch.setattr(sys, "platform", "darwin")  # There resource counts bytes.
    assert memory_in_use(torch.device("cpu")) == pytest.approx(found / 1024, rel=0.01)
