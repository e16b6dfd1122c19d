"""What a folder promises, of each kind of them: a directory, an S3-compatible server's, and one that fsspec opens."""

import logging
import pickle
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.support.present import present
from tests.support.s3_server import S3Server, s3_server
from trainers.checkpoint import newest_epoch, newest_sound_checkpoint, save_checkpoint
from trainers.folders import Directory, Folder
from trainers.storage import remote_folder
from trainers.storage.address import StorageAddress
from trainers.storage.remote_folder import RemoteFolder, StorageLost

# Larger than a part of an upload.
LARGE = bytes(range(256)) * 48_000


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture(params=["directory", "s3", "fsspec"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    if request.param == "directory":
        return Directory(tmp_path / "runs" / "a search")
    if request.param == "s3":
        bucket = request.getfixturevalue("server").make_bucket()
        return RemoteFolder(StorageAddress.of(f"s3://{bucket}/runs").located().inside("a search"), 0.0)
    # What fsspec keeps in memory, which is no storage of a search, is all of it that needs no server.
    return RemoteFolder(StorageAddress("memory", f"{uuid.uuid4().hex}/a search"), 0.0)


def test_nothing_is_there_before_the_first_file_and_after_the_last(folder: Folder) -> None:
    inside = folder.inside("0012")
    assert folder.names() == folder.folders() == inside.names() == []
    with pytest.raises(FileNotFoundError):
        inside.read("one")
    inside.clear()
    inside.delete("one")
    inside.write("one", b"")
    assert inside.names() == ["one"] and inside.read("one") == b""
    assert (folder.names(), folder.folders()) == ([], ["0012"])
    inside.clear()
    assert inside.names() == folder.folders() == []


def test_files_are_written_over_renamed_and_deleted(folder: Folder) -> None:
    for name, content in (("b", b"1"), ("a", LARGE), ("b", b"2")):
        folder.write(name, content)
    folder.inside("x", "y").write("c", b"3")
    assert folder.names() == ["a", "b"] and folder.folders() == ["x"]
    assert folder.read("a") == LARGE and folder.read("b") == b"2"
    folder.rename("b", "b.corrupt")
    folder.delete("a")
    folder.delete("a")
    assert folder.names() == ["b.corrupt"] and folder.read("b.corrupt") == b"2"
    folder.inside("x").clear()
    assert folder.names() == ["b.corrupt"] and folder.folders() == []


def test_it_reaches_other_processes(folder: Folder) -> None:
    again: Folder = pickle.loads(pickle.dumps(folder))
    folder.write("a", b"1")
    assert again.read("a") == b"1" and str(again) == str(folder)


def test_checkpoints_are_kept_and_damage_is_found(folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    assert newest_sound_checkpoint(folder) is None and newest_epoch(folder) is None
    names = [save_checkpoint(folder, epoch, {"weight": torch.full((3,), epoch)}, keep=2) for epoch in (1, 2, 3)]
    assert folder.names() == names[1:] and newest_epoch(folder) == 3
    epoch, state = present(newest_sound_checkpoint(folder))
    assert epoch == 3 and torch.equal(state["weight"], torch.full((3,), 3))
    whole = folder.read(names[2])
    with caplog.at_level(logging.WARNING):
        for length in (0, 50, len(whole) - 1):
            folder.write(names[2], whole[:length])
            assert present(newest_sound_checkpoint(folder))[0] == 2
    assert f"{names[2]} is damaged: renamed to {names[2]}.corrupt in {folder}" in caplog.text
    assert folder.names() == [names[1], f"{names[2]}.corrupt"]


def test_whoever_reads_while_a_file_is_written_sees_it_whole(folder: Folder) -> None:
    contents = [bytes([digit]) * 3_000_000 for digit in range(4)]
    folder.write("a", contents[0])
    seen: set[bytes] = set()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            seen.update([folder.read("a")])

    reader = threading.Thread(target=look)
    reader.start()
    for content in contents[1:]:
        folder.write("a", content)
    over.set()
    reader.join()
    assert seen <= set(contents)


@pytest.fixture
def remote(server: S3Server) -> RemoteFolder:
    return RemoteFolder(StorageAddress.of(f"s3://{server.make_bucket()}").located(), 30.0)


def test_a_server_that_comes_back_is_waited_for(
    server: S3Server, remote: RemoteFolder, caplog: pytest.LogCaptureFixture
) -> None:
    remote.write("a", b"1")
    server.stop()
    timer = threading.Timer(1.5, server.start)
    timer.start()
    with caplog.at_level(logging.WARNING):
        remote.write("b", b"2")
    timer.join()
    assert remote.names() == ["a", "b"] and remote.read("b") == b"2"
    assert [message.partition(":")[0] for message in caplog.messages] == ["s3"]
    assert "cannot be written, tried again for 30 s" in caplog.text


@pytest.mark.parametrize("part", [1, 2, 3])
def test_a_file_of_which_a_part_is_refused_stays_as_it_was(
    part: int, remote: RemoteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of it and the request that would complete it are not refused."""
    from moto.s3.exceptions import S3AccessDeniedError
    from moto.s3.models import S3Backend

    upload_part = S3Backend.upload_part

    def refused(backend: S3Backend, bucket: str, upload: str, number: int, value: bytes) -> object:
        if number == part:
            raise S3AccessDeniedError
        return upload_part(backend, bucket, upload, number, value)

    folder = RemoteFolder(remote.address, 0.0)
    folder.write("a", b"1")
    monkeypatch.setattr(S3Backend, "upload_part", refused)
    with pytest.raises(StorageLost, match="cannot be written: AWS Error ACCESS_DENIED"):
        folder.write("a", bytes(25_000_000))
    assert folder.names() == ["a"] and folder.read("a") == b"1"


DONE: dict[str, Callable[[Folder], object]] = {
    "written": lambda folder: folder.write("a", LARGE),
    "read": lambda folder: folder.read("a"),
    "listed": lambda folder: folder.names(),
    "renamed": lambda folder: folder.rename("a", "b"),
    "deleted": lambda folder: folder.clear(),
}


@pytest.mark.parametrize("done", DONE)
def test_one_that_does_not_is_an_error_in_one_line(server: S3Server, remote: RemoteFolder, done: str) -> None:
    remote.write("a", b"1")
    server.stop()
    began = time.monotonic()
    try:
        with pytest.raises(StorageLost) as caught:
            DONE[done](RemoteFolder(remote.address, 0.0))
    finally:
        server.start()
    assert time.monotonic() - began < 15
    assert str(caught.value).startswith(f"{remote} cannot be {done}: AWS Error NETWORK_CONNECTION")
    assert "\n" not in str(caught.value) and "Request ID" not in str(caught.value)
    assert remote.read("a") == b"1"


def test_one_that_was_waited_for_in_vain_is_not_waited_for_again_before_it_answers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers: list[list[str] | None] = []

    def listing(address: StorageAddress, *, of_files: bool) -> list[str]:
        found = answers.pop(0) if answers else None
        if found is None:
            raise OSError("AWS Error NETWORK_CONNECTION: Could not connect; Details: Could not connect to port 1")
        return found

    monkeypatch.setattr(remote_folder, "listing", listing)
    folder = RemoteFolder(StorageAddress.of("s3://waited-for-in-vain/one"), 1.5)
    waits = []
    for _ in range(2):
        for each in (folder, folder.inside("other")):
            caplog.clear()
            with pytest.raises(StorageLost, match=r"cannot be listed: AWS .*: Could not connect$"):
                each.names()
            waits.append("tried again for" in caplog.text)
        answers.append(["a"])
        assert folder.names() == ["a"]
    assert waits == [True, False] * 2
