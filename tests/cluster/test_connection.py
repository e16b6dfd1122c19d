"""A cluster that cannot be joined: one line that says why, within seconds, and nothing is begun."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import cluster.check
import nas.search

SECONDS = 15.0
TOKEN = "a" * 64


def refused(directory: Path, address: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a search and a check say."""
    said = set()
    runs = ["--runs-dir", str(directory / "runs")]
    for main, arguments in ((nas.search.main, ["--space", "resnet_stages"]), (cluster.check.main, [])):
        started = time.monotonic()
        assert main([*arguments, "--address", address, *runs]) == 2
        assert time.monotonic() - started < SECONDS
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and error.startswith("error: ")
        said.add(error)
    assert list(directory.iterdir()) == []
    (line,) = said
    return line


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ray://127.0.0.1:10001", "start it on a machine of the cluster"),
        ("https://127.0.0.1:10001", "expected auto, or HOST:PORT of the head"),
        ("somewhere", "expected auto, or HOST:PORT of the head"),
        ("127.0.0.1:1", "nobody answers there (Connection refused)"),
        ("127.0.0.1:99999", "expected auto, or HOST:PORT of the head, with a port from 1 to 65535"),
        ("http://127.0.0.1:6379", "expected auto, or HOST:PORT of the head."),
        ("no.such.host.invalid:6379", "nobody answers there"),
    ],
)
def test_addresses_that_lead_nowhere(
    address: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(tmp_path, address, capsys)
    assert message in line and repr(address) in line


def test_a_token_that_is_asked_for_and_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    (tmp_path / "here").mkdir()
    line = refused(tmp_path / "here", "127.0.0.1:1", capsys)
    assert line == (
        f"error: RAY_AUTH_MODE is 'token', and {str(home / '.ray' / 'auth_token')!r} is not there: expected the "
        "cluster's own token there, on one line.\n"
    )


def test_a_plan_refuses_what_no_cluster_can_have_as_its_address(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = ["--space", "resnet_stages", "--plan", "--runs-dir", str(tmp_path)]
    assert nas.search.main([*plan, "--address", "autoo"]) == 2
    assert "--address is 'autoo': expected auto, or HOST:PORT of the head" in capsys.readouterr().err
    assert nas.search.main([*plan, "--address", "head.example:6379"]) == 0


def test_auto_is_the_address_that_the_environment_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    line = refused(tmp_path, "auto", capsys)
    # Ray calls this machine by its address in the network.
    assert re.search(r"no Ray cluster at 'auto, which is \S+:1': nobody answers there \(Connection refused\)", line)


@pytest.mark.slow
def test_a_port_where_something_else_listens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        line = refused(tmp_path, f"127.0.0.1:{silent.getsockname()[1]}", capsys)
    assert "does not answer as Ray's head does" in line


@pytest.fixture
def head_with_token() -> Iterator[str]:
    """The address of a cluster of one node that lets in who knows the token."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = Path(sys.executable).parent / "ray"
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    head = subprocess.Popen(
        [script, "start", "--head", f"--port={port}", "--num-cpus=1", "--include-dashboard=false", "--block"],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.2)
    yield f"127.0.0.1:{port}"
    os.killpg(head.pid, signal.SIGTERM)
    head.wait(120)


@pytest.mark.cluster
@pytest.mark.parametrize("environment", [{}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "b" * 64}])
def test_a_token_that_is_missing_or_wrong(
    environment: dict[str, str],
    head_with_token: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    line = refused(tmp_path, head_with_token, capsys)
    assert "does not take this token; expected RAY_AUTH_MODE=token in the environment" in line
