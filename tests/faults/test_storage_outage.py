"""A search whose storage goes away: it waits for it, and where that does not help, ends and goes on later."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.settings.run_directory import run_directory
from tests.entries.test_search import run, summary
from tests.faults.searches import output_of, records, start_search, wait_for
from tests.support.s3_server import ACCESS_KEY, SECRET_KEY, S3Server, s3_server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


def checkpoints(server: S3Server, bucket: str) -> list[str]:
    return [name for name in server.names(bucket) if name.endswith(".checkpoint")]


def test_one_that_is_back_in_time_costs_nothing(server: S3Server, tmp_path: Path) -> None:
    bucket = server.make_bucket()
    more = ["--trials", "3", "training.epochs=8", "search.scheduler=none"]
    process = start_search(tmp_path, "one", "--storage", f"s3://{bucket}/runs", *more)
    wait_for(lambda: checkpoints(server, bucket), process)
    server.stop()
    time.sleep(10)
    server.start()
    output, error = output_of(process)
    assert process.returncode == 0, error
    assert "cannot be written, tried again for 120 s: AWS Error NETWORK_CONNECTION" in error, error
    assert "Traceback" not in error and f"storage  s3://{bucket}/runs/one?" in output
    assert [len(record.epochs) for record in records(tmp_path, "one") if record.trained] == [8] * 3
    assert not any(record.mishap for record in records(tmp_path, "one"))
    front = {f"{member['number']:04d}" for member in summary(tmp_path, "one")["front"]}
    assert {name.split("/")[3] for name in checkpoints(server, bucket)} == front
    resumed = run(tmp_path, "nas/search.py", "--resume", "one", "--trials", "4")
    assert resumed.returncode == 0 and resumed.stderr == "", resumed.stderr
    assert summary(tmp_path, "one")["counts"]["finished"] == 4
    kept = run_directory(str(tmp_path / "runs"), "one").stored_at(f"s3://{bucket}/runs").kept
    assert kept.read("summary.json") == (tmp_path / "runs" / "one" / "summary.json").read_bytes()
    everywhere = "".join((output, error, resumed.stdout)).encode()
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(key.encode() in text for key in (ACCESS_KEY, SECRET_KEY) for text in (everywhere, *written))


def test_one_that_stays_away_ends_the_search_which_goes_on_with_all_its_trials(
    server: S3Server, tmp_path: Path
) -> None:
    bucket = server.make_bucket()
    more = ["--trials", "3", "training.epochs=8", "search.scheduler=none"]
    process = start_search(tmp_path, "one", "--storage", f"s3://{bucket}/runs", *more)
    wait_for(lambda: checkpoints(server, bucket), process)
    server.stop()
    try:
        _, error = output_of(process, 900)
    finally:
        server.start()
    assert process.returncode == 1, error
    last = error.splitlines()[-1]
    assert last.startswith(f"error: the storage s3://{bucket}/runs/one/checkpoints/"), error
    assert last.count("onnect to server. Once it is back, go on with it: ") == last.count("onnect") == 1, error
    assert "nas/search.py --resume one" in last and "Traceback" not in error
    assert {record.outcome for record in records(tmp_path, "one")} <= {"running", "finished"}
    resumed = run(tmp_path, "nas/search.py", "--resume", "one")
    assert resumed.returncode == 0, resumed.stderr
    assert [len(record.epochs) for record in records(tmp_path, "one") if record.trained] == [8] * 3
    assert summary(tmp_path, "one")["counts"]["finished"] == 3
