"""A proxy before an HTTP server that does to requests what networks and overloaded servers do to them."""

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

from tests.support.mlflow_server import free_port

# What becomes of a request: passed on; answered late; answered with status 500 and not passed on; passed on without
# an answer; passed on late, when whoever asked has given up.
Fate = Literal["pass", "slow", "error", "lost", "late"]


class FlakyProxy:
    """Listens on `port` of this machine while it is up, and is refused while it is down.

    `fate` is asked for the path of every request. `delay_seconds` is the delay of those that are slow or late.
    """

    def __init__(self, upstream_port: int, delay_seconds: float) -> None:
        self.port = free_port()
        self.fate: Callable[[str], Fate] = lambda path: "pass"
        self.fates: list[Fate] = []
        self._upstream_port = upstream_port
        self._delay_seconds = delay_seconds
        self._server: ThreadingHTTPServer | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def up(self) -> None:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def handle_request(self) -> None:
                proxy._handle(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_request

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def down(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        fate = self.fate(request.path)
        self.fates.append(fate)
        if fate == "error":
            request.send_error(500)
            return
        if fate in ("slow", "late"):
            time.sleep(self._delay_seconds)
        connection = http.client.HTTPConnection("127.0.0.1", self._upstream_port, timeout=60)
        try:
            connection.request(request.command, request.path, body, dict(request.headers))
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if fate in ("lost", "late"):
            request.connection.close()
            return
        request.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length", "server", "date"):
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)


@contextmanager
def flaky_proxy(upstream_port: int, delay_seconds: float = 5.0) -> Iterator[FlakyProxy]:
    """A proxy that is up, until the context ends."""
    proxy = FlakyProxy(upstream_port, delay_seconds)
    proxy.up()
    try:
        yield proxy
    finally:
        proxy.down()
