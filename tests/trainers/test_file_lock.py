import os
import subprocess
import sys
from pathlib import Path

from trainers.file_lock import take_lock

ROOT = Path(__file__).resolve().parents[2]
TAKE = "import os, sys; from trainers.file_lock import take_lock; print(take_lock(os.open(sys.argv[1], os.O_RDWR)))"


def taken_elsewhere(path: Path) -> str:
    done = subprocess.run([sys.executable, "-c", TAKE, str(path)], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_lock_is_one_process_s_and_goes_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    assert take_lock(descriptor)
    assert take_lock(descriptor)  # it is the open file that has it
    assert taken_elsewhere(path) == "False"
    os.close(descriptor)
    assert taken_elsewhere(path) == "True"
    # The process that took it has ended, and left nothing behind.
    assert taken_elsewhere(path) == "True"
