"""Work split over torch's own threads.

Between its operators torch's OpenMP threads wait by spinning, so a second pool beside them would share each core with
a thread that does nothing. Where the runtime is reachable (GNU OpenMP and those that speak its protocol) the work runs
in the same threads; elsewhere in a thread pool.
"""

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import torch

_REGION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def run_in_threads(run: Callable[[int, int, int], None], tasks: int) -> None:
    """Calls `run(thread, first, last)` over consecutive ranges of tasks, one for each of torch.get_num_threads().

    `run` must release the GIL where it computes. An exception of any range is raised here.
    """
    threads = torch.get_num_threads()
    ranges = min(threads, tasks)
    if ranges <= 1:
        run(0, 0, tasks)
        return
    bounds = [tasks * index // ranges for index in range(ranges + 1)]
    openmp = _openmp()
    if openmp is None:
        pool = _pool(os.getpid(), threads)
        others = [pool.submit(run, index, bounds[index], bounds[index + 1]) for index in range(1, ranges)]
        run(0, bounds[0], bounds[1])
        for other in others:
            other.result()
        return
    done: list[int] = []
    errors: list[BaseException] = []

    def region(_: object) -> None:
        try:
            index = openmp.omp_get_thread_num()
            # OpenMP may give fewer threads than were asked for.
            for part in range(index, ranges, openmp.omp_get_num_threads()):
                run(part, bounds[part], bounds[part + 1])
                done.append(part)
        except BaseException as error:
            errors.append(error)

    # As many threads as torch has: another number would make the runtime rebuild its team.
    openmp.GOMP_parallel(_REGION(region), None, threads, 0)
    if errors:
        raise errors[0]
    assert len(done) == ranges


@lru_cache(maxsize=1)
def _openmp() -> ctypes.CDLL | None:
    """The OpenMP runtime that torch has loaded into this process, or None."""
    if os.name != "posix":
        return None
    process = ctypes.CDLL(None)
    if not all(hasattr(process, name) for name in ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")):
        return None
    process.GOMP_parallel.argtypes = [_REGION, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    process.GOMP_parallel.restype = None
    return process


@lru_cache(maxsize=1)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """A pool that belongs to this process: threads do not survive a fork."""
    return ThreadPoolExecutor(threads, thread_name_prefix="attention")
