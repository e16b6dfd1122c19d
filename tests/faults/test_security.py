"""What a running search listens on, and where its secrets go."""

import contextlib
import importlib.util
import ipaddress
import re
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.faults.searches import LIMIT_SECONDS, checkpoints, named, start_search, tree, wait_for, workers
from tests.support.mlflow_server import end_server, free_port, start_server
from tests.support.present import present

SECRET = "canary-5f1c9a7e"
PASSWORD = "canary-b82d06e3"


def listening(processes: list[psutil.Process]) -> set[tuple[str, str]]:
    """(address, process) of every socket that waits for others, TCP and UDP."""
    found = set()
    for member in processes:
        with contextlib.suppress(psutil.Error):
            for connection in member.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN or not connection.raddr:
                    found.add((connection.laddr.ip, member.name()))
    return found


def is_loopback(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return (getattr(parsed, "ipv4_mapped", None) or parsed).is_loopback


def files_with(directory: Path, text: str) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("loopback", "addresses"),
    [(True, ["127.0.0.1", "::1", "::ffff:127.0.0.1"]), (False, ["::", "0.0.0.0", "::ffff:0.0.0.0", "192.0.2.2"])],
)
def test_what_loopback_is(loopback: bool, addresses: list[str]) -> None:
    assert [is_loopback(address) for address in addresses] == [loopback] * len(addresses)


@pytest.mark.slow
def test_a_local_search_listens_to_this_machine_alone_and_keeps_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    store, artifacts, port = tmp_path / "server" / "mlflow.db", tmp_path / "server" / "artifacts", free_port()
    store.parent.mkdir()
    server = start_server(f"sqlite:///{store}", artifacts, port, tmp_path / "server.log")
    try:
        monkeypatch.setenv("HOME", str(home))
        uri = f"tracking.uri=http://user:{PASSWORD}@127.0.0.1:{port}"
        process = start_search(tmp_path, "one", "--trials", "2", uri)
        wait_for(lambda: checkpoints(tmp_path, "one") and workers(process), process)
        sockets = listening(tree(process))
        assert {name for _, name in sockets} >= {"gcs_server", "raylet"}
        assert [socket for socket in sockets if not is_loopback(socket[0])] == []
        raylet = named(tree(process), "raylet")[0].environ()
        output, error = process.communicate(timeout=LIMIT_SECONDS)
    finally:
        end_server(server)
    assert process.returncode == 0, error
    assert raylet["RAY_AUTH_MODE"] == "token" and len(raylet["RAY_AUTH_TOKEN"]) == 64
    assert not (home / ".ray" / "auth_token").exists()
    assert files_with(tmp_path / "runs", "resnet_stages") and files_with(store.parent, "resnet_stages")
    for secret in (SECRET, PASSWORD, raylet["RAY_AUTH_TOKEN"]):
        assert secret not in output + error
        assert files_with(tmp_path / "runs", secret) == [] and files_with(store.parent, secret) == []


def answer_of(url: str, token: str | None) -> int:
    """The status of the answer to whoever has this token."""
    request = urllib.request.Request(url, headers={} if token is None else {"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("aiohttp_cors") is None, reason="needs the extra 'dashboard'")
def test_rays_dashboard_is_for_this_machine_and_for_who_has_its_token(tmp_path: Path) -> None:
    process = start_search(tmp_path, "one", "--trials", "2", "--dashboard")
    stdout, stderr = present(process.stdout), present(process.stderr)
    said = next(line for line in iter(stdout.readline, "") if "dashboard" in line)
    url, place = present(re.search(r"(http://127\.0\.0\.1:\d+/) asks for the token in (\S+),", said)).groups()
    token_file = Path(place)
    token = token_file.read_text(encoding="ascii").strip()
    assert (token_file.stat().st_mode & 0o777, token_file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    wait_for(lambda: checkpoints(tmp_path, "one") and workers(process), process)
    assert [socket for socket in listening(tree(process)) if not is_loopback(socket[0])] == []
    nodes = f"{url}nodes?view=summary"
    assert [answer_of(nodes, given) for given in (None, "0" * 64, token)] == [401, 403, 200]
    output, error = stdout.read(), stderr.read()
    assert process.wait(LIMIT_SECONDS) == 0, error
    assert token not in said + output + error and files_with(tmp_path, token) == []
    assert not token_file.parent.exists()
