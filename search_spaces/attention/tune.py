"""Tunes the Triton kernels of attention on the GPU at hand, and measures whether they beat plain torch there.

    python -m search_spaces.attention.tune [--dtypes bfloat16] [--extents 7] [--batch 32]

What it finds is kept for this kind of device in the folder of Triton's own cache, which it names, and is what networks
take from then on wherever that folder is seen. It takes some 20 minutes for each dtype and extent.
"""

from search_spaces.ctrl_c import end_on_ctrl_c

if __name__ == "__main__":
    # What is imported next takes a while.
    end_on_ctrl_c()

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.arguments import ArgumentParser, number
from search_spaces.errors import UserError, first_line
from search_spaces.exit_codes import FAILURE, MISTAKE, SUCCESS
from search_spaces.programs import program
from search_spaces.standard_streams import run_program

if TYPE_CHECKING:
    from torch import dtype

    from search_spaces.attention.device_table import DeviceKey
    from search_spaces.attention.tuning import Tuning

DTYPES = ("bfloat16", "float16", "float32")


def main(arguments: Sequence[str]) -> int:
    """Tunes the current CUDA device. The exit code: 0, 1 where there is none or nothing can be kept, or 2 on a user's
    mistake."""
    parser = ArgumentParser(
        prog=program("search_spaces/attention/tune.py"),
        description="Find the fastest tiles of the Triton kernels of attention on this GPU, and whether they beat "
        "plain torch. Kept in the folder of Triton's cache: TRITON_CACHE_DIR, or ~/.triton/cache.",
    )
    whole = number(int, "a whole number")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=["bfloat16"], help="(default bfloat16)")
    parser.add_argument("--extents", nargs="+", type=whole, default=[7], metavar="K", help="of attention (default 7)")
    parser.add_argument("--batch", type=whole, default=32, metavar="N", help="images (default 32)")
    try:
        options = parser.parse_args(arguments)
        return _tune(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return MISTAKE


def _tune(options: argparse.Namespace) -> int:
    import torch

    from search_spaces.attention.device_table import cache_file
    from search_spaces.attention.measurements import device_key
    from search_spaces.attention.triton_choice import device_problem
    from search_spaces.attention.triton_start import start_problem
    from search_spaces.attention.triton_tiles import EXTENTS
    from search_spaces.attention.tuning import SHAPES, STEM_SHAPE, Tuning, candidates, median_ms

    for extent in options.extents:
        if extent not in EXTENTS:
            raise UserError(f"--extents is {extent}: expected odd numbers from {EXTENTS[0]} to {EXTENTS[-1]}.")
    if options.batch < 1:
        raise UserError(f"--batch is {options.batch}: expected at least 1.")
    problem: str | None = "need a CUDA device, and none is here"
    if torch.cuda.is_available():
        problem = device_problem(torch.cuda.get_device_capability()) or start_problem()
    if problem is not None:
        print(f"error: the Triton kernels {problem}.", file=sys.stderr)
        return FAILURE
    tuning = Tuning("cuda", options.batch, SHAPES, STEM_SHAPE, candidates, median_ms, print)
    key = device_key(None)
    return keep_tuned(tuning, [getattr(torch, name) for name in options.dtypes], options.extents, key, cache_file(key))


def keep_tuned(tuning: "Tuning", dtypes: "list[dtype]", extents: list[int], key: "DeviceKey", path: Path) -> int:
    """Tunes and measures, adds what is found to the file, and says so. The exit code: 0, or 1 where the file cannot be
    written; what was found is then printed."""
    from search_spaces.attention.device_table import DeviceTable, read_table, table_to_json, write_table
    from search_spaces.attention.measurements import device_table
    from search_spaces.attention.tuning import merged

    try:
        table = read_table(path, key) or DeviceTable()
    except (OSError, UserError) as error:
        print(f"what was found before is left out: {first_line(error)}", file=sys.stderr)
        table = DeviceTable()
    try:
        for dtype in dtypes:
            table = merged(table, DeviceTable(tuning.tiles(dtype, extents, table.tiles)))
            write_table(path, key, table)
            # Times are those of what was tuned, which is read from there.
            device_table.cache_clear()
            measurements = tuning.measurements(dtype, extents)
            for one in measurements:
                print(
                    f"{one.operation}, {one.dtype}, {one.width}×{one.width}, {one.channels} channels a head, "
                    f"k = {one.extent}: {one.triton_ms:.3f} ms, plain torch {one.blocks_ms:.3f}"
                )
            table = merged(table, DeviceTable({}, measurements))
            write_table(path, key, table)
    except OSError as error:
        print(json.dumps(table_to_json(table)))
        print(f"error: {path} cannot be written ({first_line(error)}).", file=sys.stderr)
        return FAILURE
    print(f"kept in {path}")
    return SUCCESS


if __name__ == "__main__":
    sys.exit(run_program(main))
