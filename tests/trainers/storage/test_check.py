"""A storage that cannot be used is refused within 15 s, in a line, before anything is begun there."""

import socket
import time
from collections.abc import Iterator

import pytest

from search_spaces.errors import UserError
from tests.support.mlflow_server import free_port
from tests.support.s3_server import SECRET_KEY, S3Server, s3_server
from trainers.storage.check import check_storage


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


def refusal(address: str, new: str | None = None) -> str:
    began = time.monotonic()
    with pytest.raises(UserError) as caught:
        check_storage(address, new)
    assert time.monotonic() - began < 15
    assert SECRET_KEY not in str(caught.value)
    return str(caught.value)


def test_one_that_can_be_used_is_left_as_it_was(server: S3Server) -> None:
    bucket = server.make_bucket()
    check_storage(f"s3://{bucket}")
    check_storage(f"s3://{bucket}/runs", new="one")
    assert server.names(bucket) == []


def test_a_bucket_that_is_not_there_is_said_with_the_nearest(server: S3Server) -> None:
    bucket = server.make_bucket()
    said = refusal(f"s3://{bucket[:-1]}/runs")
    assert f"the storage s3://{bucket[:-1]}/runs?" in said and "cannot be written: AWS Error NO_SUCH_BUCKET" in said
    assert said.endswith(f"Did you mean the bucket {bucket!r}?")


def test_one_without_rights_is_refused(server: S3Server) -> None:
    bucket = server.make_bucket()
    with server.without_rights():
        assert "cannot be written: AWS Error " in refusal(f"s3://{bucket}")
    check_storage(f"s3://{bucket}")


def test_a_server_that_is_not_there_is_refused() -> None:
    said = refusal(f"s3://bucket?scheme=http&endpoint_override=127.0.0.1:{free_port()}")
    assert "NETWORK_CONNECTION" in said and "Could not connect to server" in said


def test_a_server_that_answers_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainers.storage.check.ANSWER_SECONDS", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        said = refusal(f"s3://bucket?scheme=http&endpoint_override=127.0.0.1:{port}")
    assert said.endswith("gives no answer within 2 s.")


def test_files_of_another_search_are_not_taken_over(server: S3Server) -> None:
    bucket = server.make_bucket()
    from trainers.folders import delete_probes
    from trainers.storage.address import StorageAddress
    from trainers.storage.remote_folder import RemoteFolder

    folder = RemoteFolder(StorageAddress.of(f"s3://{bucket}/runs").located())
    # What a check of nodes has left that was cut off.
    folder.inside("one").write(".probe-0a1b", b"")
    check_storage(f"s3://{bucket}/runs", new="one")
    delete_probes(folder.inside("one"))
    assert folder.inside("one").names() == []
    folder.inside("one", "checkpoints", "0000").write("epoch-000001.checkpoint", b"")
    said = refusal(f"s3://{bucket}/runs", new="one")
    assert "has files of a search named 'one' already: expected another --name or --storage" in said
    check_storage(f"s3://{bucket}/runs", new="two")
    check_storage(f"s3://{bucket}/runs")
