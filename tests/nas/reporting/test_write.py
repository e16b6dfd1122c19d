"""The files of a report: each is written whole, or stays as it was."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.reporting.write import write_report
from tests.support.reports import FACTS, RECORDS


def test_a_report_that_is_cut_off_leaves_whole_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills up early and late, where there was nothing and over an older report."""
    written = [path.name for path in write_report(tmp_path / "whole", FACTS, RECORDS)]
    whole = {name: (tmp_path / "whole" / name).read_bytes() for name in written}
    old = dict.fromkeys(written, b"of an earlier report")
    sync = os.fsync

    of_nothing: dict[str, bytes] = {}
    for files, before in [(0, old), (1, of_nothing), (len(written) // 2, old), (len(written) - 1, of_nothing)]:
        directory = tmp_path / str(files)
        directory.mkdir()
        for name, content in before.items():
            (directory / name).write_bytes(content)
        left = iter([True] * files + [False])

        def until_full(descriptor: int, left: Iterator[bool] = left) -> None:
            if not next(left):
                os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
                raise OSError(28, "No space left on device")
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", until_full)
        with pytest.raises(OSError, match="No space left"):
            write_report(directory, FACTS, RECORDS)
        found = {path.name: path.read_bytes() for path in directory.iterdir()}
        assert found.keys() == {*before, *written[:files]}
        assert all(content in (whole[name], before.get(name)) for name, content in found.items())


def test_two_processes_may_write_a_report_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the driver of a search and a user: one comes in between while the other has a file half-way."""
    sync = os.fsync
    others = iter([True])

    def with_another(descriptor: int) -> None:
        if next(others, False):
            write_report(tmp_path, FACTS, RECORDS[:4])
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", with_another)
    written = write_report(tmp_path, FACTS, RECORDS)
    monkeypatch.undo()
    assert next(others, False) is False and sorted(tmp_path.iterdir()) == sorted(written)
    alone = write_report(tmp_path / "alone", FACTS, RECORDS)
    assert [path.read_bytes() for path in written] == [path.read_bytes() for path in alone]
