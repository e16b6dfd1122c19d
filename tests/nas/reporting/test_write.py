"""The files of a report: each is written whole, or stays as it was."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import trainers.files
from nas.reporting.write import write_report
from tests.support.reports import FACTS, RECORDS


def test_a_report_that_is_cut_off_leaves_whole_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills up early and late, where there was nothing and over an older report."""
    written = [path.name for path in write_report(tmp_path / "whole", FACTS, RECORDS)]
    whole = {name: (tmp_path / "whole" / name).read_bytes() for name in written}
    old = dict.fromkeys(written, b"of an earlier report")
    durably = trainers.files.write_durably

    of_nothing: dict[str, bytes] = {}
    for files, before in [(0, old), (1, of_nothing), (len(written) // 2, old), (len(written) - 1, of_nothing)]:
        directory = tmp_path / str(files)
        directory.mkdir()
        for name, content in before.items():
            (directory / name).write_bytes(content)
        left = iter([True] * files + [False])

        def until_full(path: Path, content: bytes, left: Iterator[bool] = left) -> None:
            if not next(left):
                durably(path, content[: len(content) // 2])
                raise OSError(28, "No space left on device", os.fspath(path))
            durably(path, content)

        monkeypatch.setattr(trainers.files, "write_durably", until_full)
        with pytest.raises(OSError, match="No space left"):
            write_report(directory, FACTS, RECORDS)
        found = {path.name: path.read_bytes() for path in directory.iterdir()}
        assert found.keys() == {*before, *written[:files]}
        assert all(content in (whole[name], before.get(name)) for name, content in found.items())
