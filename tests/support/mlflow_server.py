"""Real MLflow stores and servers, on loopback, for tests and benchmarks."""

import functools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nas.tracking.new_store import make_store

START_SECONDS = 120


@functools.cache
def empty_store() -> bytes:
    """An empty SQLite store, as the content of its file; making one takes seconds."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "mlflow.db"
        make_store(f"sqlite:///{path}")
        return path.read_bytes()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_server(store: str, artifacts: Path, port: int, log: Path) -> subprocess.Popen[bytes]:
    """Starts a server and waits until it answers. The caller ends it with `end_server`."""
    with log.open("ab") as output:
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store, "--workers", "1"]
        command += ["--host", "127.0.0.1", "--port", str(port), "--artifacts-destination", str(artifacts)]
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return process
        except OSError:
            time.sleep(0.3)
    end_server(process)
    raise RuntimeError(f"mlflow server did not start: {log.read_text(encoding='utf-8')[-2000:]}")


def end_server(process: subprocess.Popen[bytes]) -> None:
    """Ends a server and its workers, which share its process group."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def mlflow_server(store: str, artifacts: Path) -> Iterator[str]:
    """The address of a server over `store` for as long as the context lasts."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        process = start_server(store, artifacts, port, Path(directory) / "server.log")
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            end_server(process)
