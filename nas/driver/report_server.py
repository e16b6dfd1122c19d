"""The report of a search over HTTP while the search runs, for browsers on this machine alone."""

import socketserver
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from nas.driver.live_report import LiveReport
from nas.settings.addresses import redacted
from search_spaces.errors import UserError, first_line

LOOPBACK = "127.0.0.1"

HTML = "text/html; charset=utf-8"
# The page's own scripts and style, and its questions to this server: nothing leads elsewhere, whatever a name holds.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class ReportServer(ThreadingHTTPServer):
    """Serves a report at `address`. Raises UserError where the port is taken or may not be had.

    Port 0 is any that is free. `serve_forever` serves until it is interrupted.
    """

    daemon_threads = True
    # The port of another program is not to be shared.
    allow_reuse_port = False

    def __init__(self, report: LiveReport, port: int) -> None:
        self.report = report
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise UserError(
                f"--port {port} of {LOOPBACK} cannot be had: {error.strerror or first_line(error)}. "
                "Expected a port that is free; 0 takes any."
            ) from None

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK}:{self.server_port}/"

    def server_bind(self) -> None:
        # Not by HTTPServer, which asks for the name of this machine, and may wait for that.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, self.socket.getsockname()[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that leaves in the middle of an answer is no matter; anything else is told as usual."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers `/`, the page, and `/update?version=N`, what a page of that version lacks."""

    server: ReportServer
    # No version of Python and of this server to strangers.
    server_version, sys_version = "report", ""
    timeout = 60.0

    def do_GET(self) -> None:
        names = {f"{name}:{self.server.server_port}" for name in (LOOPBACK, "localhost")}
        if self.headers.get("Host") not in names:
            # A page from elsewhere whose name was made to lead here.
            return self._answer(HTTPStatus.FORBIDDEN, "This server answers its own address alone.")
        asked = urlsplit(self.path)
        if asked.path == "/favicon.ico":
            return self._answer(HTTPStatus.NO_CONTENT, "")
        if asked.path not in ("/", "/update"):
            return self._answer(HTTPStatus.NOT_FOUND, "There is nothing here: the report is at /.")
        try:
            if asked.path == "/":
                return self._answer(HTTPStatus.OK, self.server.report.page(), HTML)
            version = parse_qs(asked.query).get("version", [""])[0]
            update = self.server.report.update(int(version) if version.isdecimal() else 0)
        except UserError as error:
            return self._answer(HTTPStatus.SERVICE_UNAVAILABLE, redacted(str(error)))
        return self._answer(HTTPStatus.NO_CONTENT, "") if update is None else self._answer(HTTPStatus.OK, update, HTML)

    def _answer(self, status: HTTPStatus, text: str, kind: str = "text/plain; charset=utf-8") -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
        if kind == HTML:
            self.send_header("Content-Security-Policy", POLICY)
            self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal has the address alone."""
