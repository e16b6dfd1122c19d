"""A search whose checkpoints and results are at an address, on a real S3-compatible server, by the commands typed."""

import functools
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.control import main as control
from nas.driver.command_line import read_command
from nas.driver.lock import driver_lock
from nas.driver.open_ledger import search_ledger
from nas.driver.outages import outage
from nas.driver.storage_claim import CLAIM, check_claim, claim_storage
from nas.export import main as export
from nas.ledger.forking import copy_weights, taken_over
from nas.ledger.location import open_ledger, read_ledger, sole_driver
from nas.records.cost_limits import NO_LIMITS
from nas.report import main as report
from nas.search import main as search
from nas.settings import run_directory as run_directory_module
from nas.settings.cluster_settings import ClusterSettings
from nas.settings.run_directory import run_directory
from nas.settings.store_settings import LEDGER_VARIABLE
from nas.status import main as status
from search_spaces.errors import UserError
from tests.support.exported_search import finished_search
from tests.support.postgresql_server import PASSWORD, postgresql_server
from tests.support.present import present
from tests.support.s3_server import ACCESS_KEY, SECRET_KEY, S3Server, s3_server
from tests.support.searches import tiny_space
from trainers.bundle.files import read_weights
from trainers.checkpoint import newest_sound_checkpoint
from trainers.data.datasets import examine_data
from trainers.storage.remote_folder import RemoteFolder, StorageLost

BEGIN = ["--space", "resnet_stages", "--name", "one", "data=digits"]


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture
def bucket(server: S3Server) -> str:
    return server.make_bucket()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("s3://no-such-bucket-of-ours/runs", "NO_SUCH_BUCKET"),
        ("s3://bucket?scheme=http&endpoint_override=127.0.0.1:1", "Could not connect to server"),
        ("s33://bucket/runs", "Did you mean 's3://'?"),
        (f"s3://me:{SECRET_KEY}@bucket/runs", "expected an address without user and password"),
        ("/shared/runs", "by --runs-dir"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_the_name_free(
    address: str, said: str, server: S3Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search([*BEGIN, "--runs-dir", str(tmp_path / "runs"), "--storage", address]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("error: ") and said in error and SECRET_KEY not in error
    assert not (tmp_path / "runs").exists()


def test_a_search_that_goes_on_knows_its_storage(bucket: str, tmp_path: Path) -> None:
    finished_search(tmp_path, storage=f"s3://{bucket}/runs")
    resume = ["--resume", "found", "--runs-dir", str(tmp_path)]
    assert read_command(resume).storage.address == f"s3://{bucket}/runs"
    assert read_command([*resume, "--fork", "new"]).storage.address == f"s3://{bucket}/runs"
    assert read_command([*resume, "--fork", "new", "--storage", "s3://other"]).storage.address == "s3://other"
    reached_otherwise = f"s3://{bucket}/runs?region=eu-central-1"
    assert read_command([*resume, "--storage", reached_otherwise]).storage.address == reached_otherwise
    with pytest.raises(UserError, match=f"keeps its checkpoints at s3://{bucket}/runs, not at s3://other: leave out"):
        read_command([*resume, "--storage", "s3://other"])


def test_one_that_was_begun_without_keeps_its_directory(tmp_path: Path) -> None:
    finished_search(tmp_path)
    with pytest.raises(UserError, match="keeps its checkpoints in its directory, not at s3://other"):
        read_command(["--resume", "found", "--runs-dir", str(tmp_path), "--storage", "s3://other"])


def test_its_weights_are_exported_and_no_key_is_written(
    server: S3Server, bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, _ = finished_search(tmp_path / "runs", storage=f"s3://{bucket}/runs")
    assert not (directory.path / "checkpoints").exists()
    assert "runs/found/checkpoints/0003/epoch-000002.checkpoint" in server.names(bucket)
    choose = ["found", "--runs-dir", str(tmp_path / "runs"), "--out"]
    assert export([*choose, str(tmp_path / "best"), "--pick", "accuracy"]) == 0
    state = present(newest_sound_checkpoint(directory.checkpoints(3)))[1]["training"]["model"]
    weights = present(read_weights(tmp_path / "best"))
    assert weights.keys() == state.keys() and all(weights[name].equal(state[name]) for name in state)
    assert export([*choose, str(tmp_path / "gone"), "--pick", "trial=2"]) == 0
    assert "has not kept those of trial 2" in capsys.readouterr().out
    assert export([*choose, str(tmp_path / "none"), "--pick", "trial=2", "--onnx"]) == 2
    assert f"are no longer in 's3://{bucket}/runs/found/checkpoints/0002" in capsys.readouterr().err
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(key.encode() in path.read_bytes() for path in files for key in (ACCESS_KEY, SECRET_KEY))


def test_an_export_without_the_storage_says_so(
    server: S3Server, bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    finished_search(tmp_path / "runs", storage=f"s3://{bucket}")
    monkeypatch.setattr(run_directory_module, "RemoteFolder", functools.partial(RemoteFolder, patience_seconds=0.0))
    server.stop()
    try:
        assert (
            export(["found", "--runs-dir", str(tmp_path / "runs"), "--pick", "knee", "--out", str(tmp_path / "b")]) == 1
        )
    finally:
        server.start()
    error = capsys.readouterr().err
    assert error.startswith(f"error: the storage s3://{bucket}/found/checkpoints/") and error.count("\n") == 1
    assert "cannot be listed: AWS Error NETWORK_CONNECTION" in error and not (tmp_path / "b").exists()


def test_a_copy_of_its_directory_does_not_train_over_its_checkpoints(
    bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, _ = finished_search(tmp_path / "runs", storage=f"s3://{bucket}/runs")
    ledger = open_ledger(directory, None)
    claim_storage(directory, ledger)
    shutil.copytree(tmp_path / "runs", tmp_path / "copy")
    copy = run_directory(str(tmp_path / "copy"), "found").stored_at(directory.storage)
    go_on = ["--resume", "found", "--trials", "90", "--runs-dir", str(copy.runs)]
    # As it was moved: its last driver has ended, and each knows the claim.
    for known in (directory, copy):
        check_claim(known, read_ledger(known, None))
    # A driver of the one lives while the other is asked for.
    with driver_lock(directory):
        check_claim(directory, read_ledger(directory, None))
        assert search(go_on) == 2
    said = f"and another runs directory has gone on there: process {os.getpid()} on {socket.gethostname()}, with "
    error = capsys.readouterr().err
    assert said + repr(str(directory.path)) in error and error.count("\n") == 1
    # One has gone on and ended, of which the other knows nothing.
    claim_storage(directory, ledger)
    assert search(go_on) == 2 and said in capsys.readouterr().err
    check_claim(directory, read_ledger(directory, None))
    # A storage of earlier code, or one that was emptied.
    directory.kept.delete(CLAIM)
    check_claim(copy, read_ledger(copy, None))


def test_its_report_is_there_too(
    server: S3Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda page: True)
    directory, _ = finished_search(tmp_path, storage=f"s3://{bucket}/runs")
    assert report(["found", "--runs-dir", str(tmp_path), "--open"]) == 0
    there = {name.rpartition("/")[2] for name in server.names(bucket) if "/report/" in name}
    assert there == {path.name for path in directory.report.iterdir()} >= {"front.html", "front.csv"}
    assert directory.kept.inside("report").read("front.csv") == (directory.report / "front.csv").read_bytes()


@pytest.mark.parametrize(("from_storage", "to_storage"), [(True, True), (True, False), (False, True)])
def test_a_fork_takes_the_weights_along(from_storage: bool, to_storage: bool, bucket: str, tmp_path: Path) -> None:
    address = f"s3://{bucket}/runs"
    source, ledger = finished_search(tmp_path, storage=address if from_storage else None)
    target = run_directory(str(tmp_path), "new").stored_at(address if to_storage else None)
    taken = taken_over(ledger.records, "found", tiny_space(), NO_LIMITS)
    copy_weights(taken, source, target, "front")
    assert target.all_checkpoints.folders() == ["0000", "0001", "0003"]
    name = "epoch-000002.checkpoint"
    assert target.checkpoints(3).read(name) == source.checkpoints(3).read(name)


def test_what_was_lost_is_an_outage_with_the_command_that_goes_on(bucket: str, tmp_path: Path) -> None:
    directory, _ = finished_search(tmp_path, storage=f"s3://{bucket}/runs")
    try:
        raise RuntimeError("while concluding") from StorageLost("s3://b/a cannot be written: gone")
    except RuntimeError as error:
        said = present(outage(error, directory, ClusterSettings(None, 0, 1), None))
    assert said.startswith("the storage s3://b/a cannot be written: gone. Once it is back, go on with it: ")
    assert "--resume found" in said and "--storage" not in said


def test_with_its_ledger_in_a_database_it_is_found_from_another_machine(
    bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which has another runs directory. One whose checkpoints are in a directory is not, and two drivers meet."""
    monkeypatch.setattr("webbrowser.open", lambda page: True)
    begin = [*BEGIN, "space.depth=[14]", "--runs-dir", str(tmp_path / "here")]
    with postgresql_server() as url:
        monkeypatch.setenv(LEDGER_VARIABLE, url)
        for name, storage in (("one", ["--storage", f"s3://{bucket}"]), ("two", [])):
            command = read_command([*begin, "--name", name, *storage])
            ledger = search_ledger(command, run_directory(command.runs_dir, name), examine_data(command.data), 1)
            ledger.record_driver("another-machine", 1)
        there = ["--runs-dir", str(tmp_path / "there")]
        assert export(["oen", *there, "--list"]) == 2
        assert "unknown search 'oen'" in capsys.readouterr().err
        assert report(["two", *there]) == 2
        said = capsys.readouterr().err
        assert "'two' keeps its checkpoints in a runs directory of another-machine, and not in" in said
        assert f"a file {str(tmp_path / 'there' / 'two' / 'ledger.url')!r} that says postgresql" in said
        # What needs the ledger alone needs no directory, and makes none.
        assert status(["two", *there]) == 0 and "search two: " in capsys.readouterr().out
        assert not (tmp_path / "there").exists()
        assert control(["one", *there, "--stop"]) == 2
        assert "process 1 on another-machine, does not look into" in capsys.readouterr().err
        assert status(["one", *there]) == 0 and report(["one", *there, "--open"]) == 0
        resumed = read_command(["--resume", "one", *there])
        assert resumed.storage.address == f"s3://{bucket}" and resumed.previous is not None
        directories = [run_directory(str(tmp_path / runs), "one") for runs in ("here", "there")]
        with sole_driver(directories[0], None):
            with (
                pytest.raises(UserError, match="search 'one' is being run by another driver"),
                sole_driver(directories[1], url),
            ):
                pass
            with sole_driver(run_directory(str(tmp_path / "here"), "two"), None):
                pass
        with sole_driver(directories[1], url):
            pass
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(PASSWORD.encode() in content for content in files)
