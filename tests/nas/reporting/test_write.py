"""The files of a report: each is written whole, or stays as it was."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from nas.reporting.drawing_process import drawing_process
from nas.reporting.write import write_report
from search_spaces.errors import UserError
from tests.project.rooms import PROJECT
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


def test_another_process_draws_the_same_pictures(tmp_path: Path) -> None:
    here = write_report(tmp_path / "here", FACTS, RECORDS)
    with drawing_process() as drawing:
        meanwhile = write_report(tmp_path / "meanwhile", FACTS, RECORDS, drawing=drawing)
    assert [path.name for path in meanwhile] == [path.name for path in here]
    assert [path.read_bytes() for path in meanwhile] == [path.read_bytes() for path in here]
    assert not multiprocessing.active_children()


def test_a_killed_drawing_process_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    with drawing_process() as drawing:
        (child,) = multiprocessing.active_children()
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        with pytest.raises(UserError, match="the process that draws the report's pictures has ended"):
            write_report(tmp_path, FACTS, RECORDS, drawing=drawing)
    assert list(tmp_path.iterdir()) == []


def test_the_drawing_process_ends_with_a_killed_report() -> None:
    program = (
        "import multiprocessing, os\n"
        "from nas.reporting.drawing_process import drawing_process\n"
        "with drawing_process():\n"
        "    print(multiprocessing.active_children()[0].pid, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    # The process that draws has the pipe, too: its end is the end of what is read.
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, stdout=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL and int(done.stdout) > 0


@pytest.mark.parametrize("heeded", [True, False])
def test_ctrl_c_at_a_terminal_ends_the_drawing_process_in_silence_where_it_is_heeded(heeded: bool) -> None:
    program = (
        "import multiprocessing, signal\n"
        "from nas.reporting.drawing_process import drawing_process\n"
        f"signal.signal(signal.SIGINT, signal.{'default_int_handler' if heeded else 'SIG_IGN'})\n"
        "try:\n"
        "    with drawing_process():\n"
        "        print(multiprocessing.active_children()[0].pid, flush=True)\n"
        "        input()\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=PROJECT, start_new_session=True, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        child = int(process.stdout.readline())
        os.killpg(process.pid, signal.SIGINT)
        if not heeded:
            time.sleep(0.2)
            assert psutil.Process(child).status() != psutil.STATUS_ZOMBIE
        said = process.communicate("\n", timeout=60)
    assert said == ("interrupted\n" if heeded else "", "")


def test_what_a_killed_writer_left_is_removed_and_what_another_writes_stays(tmp_path: Path) -> None:
    long_ago = time.time() - 7200
    left, begun, other = (
        tmp_path / name for name in (".front.html.ab12_xyz", ".front.png.ab12_xyz", ".notes.ab12_xyz")
    )
    for path in (left, begun, other):
        path.write_bytes(b"a part")
    for path in (left, other):
        os.utime(path, (long_ago, long_ago))
    written = write_report(tmp_path, FACTS, RECORDS)
    assert sorted(tmp_path.iterdir()) == sorted([*written, begun, other])
