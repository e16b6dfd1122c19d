"""Whether a Ray cluster answers and lets this process in: known in seconds, where joining it would wait for minutes."""

import re
import socket
import subprocess
import sys

from cluster.auth_token import check_token
from search_spaces.errors import UserError, printable

MOST_PORT = 65535
CONNECT_SECONDS = 4.0
ANSWER_SECONDS = 8.0

_HOST_AND_PORT = re.compile(r"(?P<host>[^/:\s]+|\[[0-9A-Fa-f:]+\]):(?P<port>\d{1,5})")
# Ray writes to the standard error whatever it meets, and does not give up: a process of its own is let go of.
_ASK = """
import sys
from ray._private.services import canonicalize_bootstrap_address
from ray._raylet import GcsClient
try:
    address = canonicalize_bootstrap_address(sys.argv[1])
    print(address, flush=True)
    GcsClient(address=address)
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}".splitlines()[0])
"""


def check_address(address: str) -> None:
    """Raises UserError where `address` cannot be one of a Ray cluster. Asks nobody."""
    expected = f"--address is {address!r}: expected auto, or HOST:PORT of the head"
    if address.startswith("ray://"):
        raise UserError(
            f"{expected}. A search does not run through Ray's client; start it on a machine of the cluster."
        )
    match = _HOST_AND_PORT.fullmatch(address)
    if address != "auto" and match is None:
        raise UserError(f"{expected}.")
    if match is not None and not 1 <= int(match["port"]) <= MOST_PORT:
        raise UserError(f"{expected}, with a port from 1 to {MOST_PORT}.")


def check_connection(address: str) -> None:
    """Raises UserError, within 15 s, where there is no Ray cluster at `address` that can be joined."""
    check_address(address)
    check_token()
    if match := _HOST_AND_PORT.fullmatch(address):
        _connect(address, match["host"].strip("[]"), int(match["port"]))
    problem = _answer(address)
    if problem is not None:
        raise UserError(f"no Ray cluster at {address!r}: {problem}.")


def _connect(address: str, host: str, port: int) -> None:
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UserError(
            f"no Ray cluster at {address!r}: nobody answers there ({printable(reason)}). Is the head started, its port "
            "right, and open to this machine?"
        ) from None


def _answer(address: str) -> str | None:
    """What is in the way of joining a cluster, or None. Raises UserError where nobody answers where one was."""
    asking = subprocess.Popen(
        [sys.executable, "-c", _ASK, address], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with asking:
        # How long Ray takes to be loaded says nothing of the cluster.
        assert asking.stdout is not None
        found = asking.stdout.readline().strip()
        try:
            if address == "auto" and (match := _HOST_AND_PORT.fullmatch(found)):
                # RAY_ADDRESS names it, or a file of the last Ray that was started on this machine.
                _connect(f"auto, which is {found}", match["host"].strip("[]"), int(match["port"]))
            _, error = asking.communicate(timeout=ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            asking.kill()
            return f"what listens there does not answer as Ray's head does within {ANSWER_SECONDS:g} s"
        except UserError:
            asking.kill()
            raise
    if asking.returncode == 0:
        return None
    said = (error.strip().splitlines() or ["no reason is known"])[-1]
    if "InvalidAuthToken" in said or "Unauthenticated" in said:
        return (
            "it does not take this token; expected RAY_AUTH_MODE=token in the environment, and the cluster's own token "
            "in ~/.ray/auth_token"
        )
    if address == "auto":
        return "none runs on this machine; expected one, started by `ray start`, or --address HOST:PORT"
    return printable(said)
