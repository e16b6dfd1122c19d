"""Addresses of storages: what is one, what is wrong with others, and that no secret is shown or kept."""

import pytest

from search_spaces.errors import UserError
from trainers.storage.address import StorageAddress, is_address


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("s3://bucket", "s3://bucket"),
        ("S3://bucket/runs/", "s3://bucket/runs"),
        ("s3a://bucket/a/b", "s3://bucket/a/b"),
        ("gcs://bucket/runs", "gs://bucket/runs"),
        (
            "s3://bucket/runs?scheme=http&endpoint_override=127.0.0.1%3A9000",
            "s3://bucket/runs?endpoint_override=127.0.0.1:9000&scheme=http",
        ),
        ("sftp://me@host/runs", "sftp://me@host/runs"),
    ],
)
def test_an_address_is_read_and_written_back(text: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda module: module)
    address = StorageAddress.of(text)
    assert str(address) == meant and StorageAddress.of(str(address)) == address
    assert str(address.inside("NAME", "0012")) == meant.partition("?")[0] + "/NAME/0012" + "".join(
        meant.partition("?")[1:]
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/shared/runs", "storage is '/shared/runs': expected s3://BUCKET/PREFIX.*by --runs-dir"),
        ("bucket/runs", "expected s3://BUCKET/PREFIX"),
        ("s33://bucket", r"storage is 's33://bucket': expected .*Did you mean 's3://'\?"),
        ("gss://bucket", r"Did you mean 'gs://'\?"),
        ("memory://bucket", "storage is 'memory://bucket': expected"),
        ("https://host/bucket", "storage is 'https://host/bucket': expected"),
        ("nothing-like-it://bucket", "storage is 'nothing-like-it://bucket': expected s3://"),
        ("s3://", "storage is 's3://': expected"),
        ("s3:///runs", "storage is 's3:///runs': expected"),
        ("s3://bucket/../other", "expected"),
        ("s3://bucket/a//b", "expected"),
        ("s3://bucket/a b", "is 's3://bucket/a b', with a ' ' in it: expected an address without white space"),
        ("s3://bucket/a#b", "with a '#' in it"),
        ("s3://bucket?regoin=eu", "unknown option of the storage's address storage 'regoin'.*Did you mean 'region'"),
        ("gs://bucket?region=eu", "unknown option"),
        ("s3://bucket?endpoint_override=http://store:9000", "expected HOST:PORT for endpoint_override, found 'http"),
        ("s3://bucket?endpoint_override=store:", "expected HOST:PORT for endpoint_override, found 'store:'"),
        ("abfs://container@account.dfs.core.windows.net/runs", "adlfs.*is not installed: pip install adlfs"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        StorageAddress.of(text)


@pytest.mark.parametrize(
    "text",
    [
        "s3://KEY:canary@bucket/runs",
        "s3://canary@bucket",
        "gs://canary@bucket",
        "sftp://me:canary@host/runs",
        "s3:///KEY:canary@bucket",
        "s3x://KEY:canary@bucket",
        "canary@bucket://x@y",
        "s3://bucket?secret_key=canary",
        "s3://bucket?access_key=canary&secret_key=canary",
    ],
)
def test_a_secret_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(UserError) as caught:
        StorageAddress.of(text)
    assert "canary" not in str(caught.value)


def test_what_the_environment_says_of_the_place_becomes_part_of_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    address = StorageAddress.of("s3://bucket/runs")
    assert address.located() == address
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert str(address.located()) == "s3://bucket/runs?endpoint_override=127.0.0.1:9000&region=eu-central-1&scheme=http"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://store:9001")
    given = StorageAddress.of("s3://bucket/runs?region=us-west-2")
    assert str(given.located()) == "s3://bucket/runs?endpoint_override=store:9001&region=us-west-2&scheme=https"
    assert str(StorageAddress.of("gs://bucket").located()) == "gs://bucket"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://me:canary@store:9001")
    with pytest.raises(UserError, match=r"AWS_ENDPOINT_URL_S3 is .*: expected http://HOST:PORT") as caught:
        address.located()
    assert "canary" not in str(caught.value)


def test_a_path_is_no_address() -> None:
    assert not is_address("/runs/a/checkpoints") and is_address("s3://bucket")
