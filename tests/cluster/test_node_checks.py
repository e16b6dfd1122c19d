"""What a node says of a storage that it cannot use, without a cluster."""

import errno
from pathlib import Path
from typing import cast

import pytest

from cluster.node_checks import _loaded, _storage_trouble
from trainers.folders import Directory, Folder
from trainers.storage.address import StorageAddress
from trainers.storage.remote_folder import RemoteFolder, StorageLost


class Refusing(RemoteFolder):
    """A storage that lets nobody in."""

    def read(self, name: str) -> bytes:
        raise StorageLost(f"{self} cannot be read: ACCESS_DENIED")


def test_a_storage_that_refuses_a_node_is_named_once_with_whose_credentials_it_takes() -> None:
    said = _storage_trouble(Refusing(StorageAddress.of("s3://bucket/runs")), "probe", "token")
    assert said == (
        "it cannot read the storage: s3://bucket/runs cannot be read: ACCESS_DENIED (it takes its credentials from its "
        "own environment, as it was before `ray start`)"
    )


def test_a_directory_that_cannot_be_read_or_is_another(tmp_path: Path) -> None:
    class Broken(Directory):
        def read(self, name: str) -> bytes:
            raise OSError(errno.ESTALE, "Stale file handle")

    said = _storage_trouble(cast(Folder, Broken(tmp_path)), "probe", "token")
    assert said == f"it cannot read the storage {str(tmp_path)!r}: Stale file handle"
    unseen = _storage_trouble(Directory(tmp_path), "probe", "token")
    assert unseen is not None and "it does not see the storage" in unseen
    (tmp_path / "probe").write_bytes(b"token")
    assert _storage_trouble(Directory(tmp_path), "probe", "token") is None
    assert [path.name for path in tmp_path.iterdir()] == ["probe"]


def test_a_node_whose_environment_keeps_the_kernels_from_loading_cannot_train(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    monkeypatch.setenv("NUMBA_NUM_THREADS", "0")
    code, _, _ = _loaded(0)
    assert code == "ValueError: Number of threads specified must be > 0."
