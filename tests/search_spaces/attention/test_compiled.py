"""The compiled kernels: compiled once for all processes."""

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]

COUNT_COMPILATIONS = """
import os, sys
import torch
from numba.core import event
from search_spaces.attention.dispatch import local_attention

def run():
    query = torch.ones(2, 4, 4, 8, 4, requires_grad=True)
    row = torch.ones(8, 3, 2, requires_grad=True)
    local_attention(query, query, query, row, row, spatial_extent=3, backend="numba").sum().backward()

with event.install_recorder("numba:compile") as recorder:
    run()
print(len(recorder.buffer))
if "fork" in sys.argv:
    process = os.fork()
    if process == 0:
        torch.set_num_threads(1)
        run()
        os._exit(0)
    assert os.waitpid(process, 0)[1] == 0
"""


def run_python(program: str, *arguments: str, cache: Path) -> str:
    result = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=PROJECT,
        env=os.environ | {"NUMBA_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_second_process_compiles_nothing_and_a_fork_works(tmp_path: Path) -> None:
    assert int(run_python(COUNT_COMPILATIONS, cache=tmp_path)) > 0
    assert int(run_python(COUNT_COMPILATIONS, "fork", cache=tmp_path)) == 0
