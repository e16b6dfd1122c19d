"""Whether Triton can compile and launch kernels in this process, which is found out by having it begin."""

import atexit
import logging
import shutil
import tempfile
from functools import cache

from search_spaces.attention.device_table import cache_directory
from search_spaces.errors import first_line

# A folder that takes less is as good as full: so much the kernels of one network come to.
BYTES_OF_KERNELS = 2**20

logger = logging.getLogger(__name__)


@cache
def start_problem() -> str | None:
    """Why the kernels cannot be launched from here, and what is missing; None where they can.

    Before its first launch Triton has a C compiler make what talks to CUDA, once for each folder that it keeps things
    in. Images of containers that only run things often have no compiler, or lack Python's headers.
    """
    try:
        keep_what_is_compiled()
        from triton.runtime.driver import driver

        _ = driver.active.utils
    # It says so by errors of many kinds.
    except Exception as error:
        return f"cannot be launched from here, where Triton does not start ({first_line(error)[:300]})"
    return None


def keep_what_is_compiled() -> None:
    """Has Triton keep what it compiles in a folder of this process's own where it cannot write into its cache, which is
    warned of. Raises OSError where there is no room for such a folder either."""
    directory = cache_directory()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(bytes(BYTES_OF_KERNELS))
            file.flush()
    except OSError as error:
        from triton import knobs

        temporary = tempfile.mkdtemp(prefix="triton-")
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        knobs.cache.dir = temporary
        logger.warning(
            "Triton cannot write into %s (%s): this process compiles its kernels anew. TRITON_CACHE_DIR names another "
            "folder.",
            directory,
            first_line(error),
        )
