"""A private S3-compatible server on loopback, for tests: moto's, which keeps what it is given in this process.

It is skipped where moto is not installed.
"""

import contextlib
import json
import logging
import re
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

ACCESS_KEY = "canary-access-9d41"
# To be looked for where it must not be.
SECRET_KEY = "canary-secret-7be2"


class S3Server:
    """A running server. It may be stopped and started again: it then has the same address and content."""

    def __init__(self) -> None:
        self._port = 0
        self._server: Any = None
        self.start()

    def start(self) -> None:
        moto = pytest.importorskip("moto.server")
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=self._port, verbose=False)
        self._server.start()
        self._port = self._server.get_host_and_port()[1]

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server._server.server_close()
        self._server = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def environment(self) -> dict[str, str]:
        """What leads to it, and lets in."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def make_bucket(self) -> str:
        """The name of a new bucket."""
        name = f"runs-{uuid.uuid4().hex[:12]}"
        self._ask("PUT", name)
        return name

    def names(self, bucket: str) -> list[str]:
        """The keys of a bucket, as the server has them, without those that stand for folders."""
        answer = self._ask("GET", f"{bucket}?list-type=2")
        return sorted(key for key in re.findall("<Key>([^<]*)", answer) if not key.endswith("/"))

    @contextlib.contextmanager
    def without_rights(self) -> Iterator[None]:
        """For a while nobody that it knows may do anything."""
        before = self._ask("POST", "moto-api/reset-auth", "0")
        try:
            yield
        finally:
            self._ask("POST", "moto-api/reset-auth", json.loads(before)["PREVIOUS_INITIAL_NO_AUTH_ACTION_COUNT"])

    def _ask(self, method: str, path: str, content: object = None) -> str:
        data = None if content is None else str(content).encode()
        headers = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{self.endpoint}/{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            text: str = answer.read().decode()
        return text


@contextlib.contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server for as long as the context lasts, to which the environment leads."""
    server = S3Server()
    try:
        with pytest.MonkeyPatch.context() as environment:
            for name, value in server.environment.items():
                environment.setenv(name, value)
            yield server
    finally:
        server.stop()
