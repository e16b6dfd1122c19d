"""What is said of a process that dies without a word, and of none other."""

import os
import pty
import signal
import subprocess
import sys
import time

import psutil
import pytest

WORDS = "it has died: 100 % of 'it' \"$HOME\" `date` \\n is kept\n"
SAID = f"\n{WORDS}"
PROGRAM = f"""
import os, signal, subprocess, sys, time
from nas.driver.sudden_end import said_at_sudden_end
with said_at_sudden_end({WORDS!r}):
    print("there", flush=True)
    sys.stdin.readline()
    {{}}
print("done", flush=True)
"""


def started(deed: str, stdout: int = subprocess.PIPE) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(deed)],
        stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def ended(deed: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a program that does this within."""
    process = started(deed)
    output, error = process.communicate("\n", timeout=30)
    return process.returncode, output, error


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV, signal.SIGTERM])
def test_a_process_that_is_killed(number: signal.Signals) -> None:
    assert ended(f"os.kill(os.getpid(), {int(number)}); time.sleep(9)") == (-number, "there\n", SAID)


def test_one_that_ends_at_once() -> None:
    assert ended("os._exit(7)") == (7, "there\n", SAID)


@pytest.mark.parametrize(
    ("deed", "code", "said"),
    [("pass", 0, ""), ("sys.exit(3)", 3, ""), ("raise ValueError('so')", 1, "ValueError: so")],
)
def test_one_that_comes_to_an_end_says_for_itself_what_there_is_to_say(deed: str, code: int, said: str) -> None:
    returncode, output, error = ended(deed)
    assert returncode == code and WORDS not in error and error.strip().endswith(said)
    assert ("done" in output) == (code == 0)


def test_one_that_kills_what_is_below_it_first_says_it_itself() -> None:
    deed = "from nas.driver.interruption import kill_descendants; kill_descendants(); os._exit(130)"
    assert ended(deed) == (130, "there\n", "")


def test_its_children_do_not_keep_it_from_being_noticed() -> None:
    deed = "print(subprocess.Popen(['sleep', '60'], start_new_session=True).pid, flush=True); os._exit(7)"
    with started(deed) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "there\n"
        child = psutil.Process(int(process.stdout.readline()))
        assert process.stderr.readline() + process.stderr.readline() == SAID
        assert child.is_running()
        child.kill()
    assert process.returncode == 7


def test_a_suspended_one_is_not_dead_and_the_group_is_not_the_shells() -> None:
    process = started("os.kill(os.getpid(), signal.SIGSTOP); print('on', flush=True)")
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
        time.sleep(0.01)
    (shell,) = psutil.Process(process.pid).children()
    os.killpg(process.pid, signal.SIGWINCH)
    assert shell.is_running() and os.getpgid(shell.pid) != os.getpgid(process.pid)
    os.kill(process.pid, signal.SIGCONT)
    output, error = process.communicate(timeout=30)
    assert (process.returncode, output, error) == (0, "there\non\ndone\n", "")
    assert not shell.is_running()


def test_a_terminal_gets_its_cursor_back() -> None:
    leader, follower = pty.openpty()
    process = started("os.kill(os.getpid(), signal.SIGKILL)", stdout=follower)
    os.close(follower)
    _, error = process.communicate("\n", timeout=30)
    assert error == SAID
    assert os.read(leader, 100).endswith(b"\x1b[?25h")
    os.close(leader)
