"""What is looked at before the start, in a container's conditions: mount namespaces and limits of a real process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PROGRAM = """
import os, resource, sys, tempfile
from search_spaces.errors import UserError
from search_spaces.machine import Needs, prepare_machine
try:
    prepare_machine(Needs(open_files=int(sys.argv[1]), threads=50, file_bytes=int(sys.argv[2])))
except UserError as error:
    sys.exit(f"error: {error}")
print(os.environ.get("TMPDIR"), tempfile.gettempdir(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def run(
    conditions: str, *, open_files: int = 64, file_bytes: int = 0, **environment: str
) -> subprocess.CompletedProcess[str]:
    namespace = ["unshare", "--mount", "bash", "-c", f'set -e; {conditions}; exec "$@"', "bash"]
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to make a mount namespace")
    return subprocess.run(
        [*namespace, sys.executable, "-c", PROGRAM, str(open_files), str(file_bytes)],
        cwd=PROJECT, env={"PATH": os.environ["PATH"], **environment}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def test_a_sound_machine_is_left_as_it_is() -> None:
    done = run("true", open_files=64)
    assert done.returncode == 0 and done.stdout.startswith("None /tmp ") and done.stderr == ""


@pytest.mark.parametrize(
    ("conditions", "named", "said"),
    [
        ("true", "/nowhere", "/nowhere cannot be written (No such file or directory)"),
        ("mount -t tmpfs -o ro none /mnt", "/mnt", "/mnt cannot be written (Read-only file system)"),
        ("mount -t tmpfs -o size=4k none /mnt; head -c 4096 /dev/zero >/mnt/x", "/mnt", "/mnt is full"),
        ("mount -t tmpfs -o size=1m none /mnt", "/mnt", "/mnt has 1.0 MB free"),
        ("true", "/var/tmp/" + "x" * 40, "is over 39 characters long, too long for sockets"),
        ("true", "/etc/passwd", "/etc/passwd cannot be written (Not a directory)"),
    ],
)
def test_temporary_files_go_to_another_place(conditions: str, named: str, said: str) -> None:
    done = run(conditions, TMPDIR=named)
    assert done.returncode == 0 and done.stdout.startswith("/tmp /tmp ")
    assert said in done.stderr and done.stderr.endswith("; temporary files go to /tmp\n")
    assert done.stderr.count("\n") == 1


def test_the_long_place_that_macos_gives_each_user_is_left_without_a_word() -> None:
    done = run("true", TMPDIR="/var/folders/zz/" + "x" * 30 + "/T")
    assert done.returncode == 0 and done.stdout.startswith("/tmp /tmp ") and done.stderr == ""


def test_no_place_for_temporary_files_is_one_line() -> None:
    done = run("for at in /tmp /var/tmp /dev/shm; do mount --bind $at $at; mount -o remount,bind,ro $at; done")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: there is no place for temporary files: /tmp cannot be written (Read-only")
    assert "Set TMPDIR to a directory" in done.stderr


def test_the_limit_of_open_files_is_raised_as_far_as_that_goes() -> None:
    done = run("ulimit -Sn 64", open_files=256)
    assert done.returncode == 0 and done.stdout.endswith(" 256\n")
    done = run("ulimit -n 64", open_files=256)
    assert done.stderr == "error: 64 open files are allowed, and this takes 256: raise that limit (ulimit -n).\n"


def test_the_limit_of_a_files_size_is_raised_as_far_as_that_goes() -> None:
    done = run("ulimit -Sf 50", file_bytes=80_000_000)
    assert done.returncode == 0 and done.stderr == ""
    done = run("ulimit -f 50", file_bytes=80_000_000)
    assert done.stderr == (
        "error: files of 0.05 MB are allowed at most, and this takes one of 80 MB: raise that limit (ulimit -f 78125, "
        "or unlimited).\n"
    )
    assert run("ulimit -f 78125", file_bytes=80_000_000).returncode == 0


def test_the_limit_of_address_space_is_raised_as_far_as_that_goes() -> None:
    assert run("ulimit -Sv 2000000").returncode == 0
    done = run("ulimit -v 2000000")
    assert done.stderr == (
        "error: a process may have 2,048 MB of address space, and this takes some 3,000 MB: raise that limit "
        "(ulimit -v unlimited).\n"
    )


def test_a_limit_of_threads_is_named() -> None:
    # No user has this number, and so no name either; root is not limited.
    done = run('ulimit -u 40; set -- setpriv --reuid 54321 --clear-groups "$@"')
    if done.returncode and "error: " not in done.stderr:
        pytest.skip(f"needs a Python that others may run: {done.stderr}")
    assert done.stderr.startswith("error: `ulimit -u` allows 40 threads, 1 of which are there, and this takes 50 more")
