"""Checks every node of a Ray cluster, as a search does before it starts, and shows what was found in one table.

python -m cluster.check [--address HOST:PORT] [--runs-dir DIR] [data=imagenet data.root=DIR] [--help]
"""

from search_spaces.ctrl_c import end_on_ctrl_c

if __name__ == "__main__":
    # What is imported next takes a while, and may not be installed.
    end_on_ctrl_c()
    from search_spaces.extras import require_search

    require_search("python -m cluster.check")

import argparse
import dataclasses
import logging
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.connection import check_connection
from cluster.node_findings import BAD_NODES, COMPUTES, NodeFindings, usable
from cluster.shipped_code import shipped_code
from search_spaces.arguments import ArgumentParser, path
from search_spaces.errors import UserError, first_line, unknown_name
from search_spaces.exit_codes import FAILURE, MISTAKE, SUCCESS
from search_spaces.overrides import read_override, with_overrides
from search_spaces.programs import program
from search_spaces.slow_steps import on_standard_error, slow_step
from search_spaces.standard_streams import run_program
from trainers.data.config import DATA_DEFAULTS, DataConfig, KnownFiles
from trainers.data.datasets import examine_data
from trainers.folders import Directory, Folder
from trainers.storage.address import StorageAddress
from trainers.storage.check import check_storage
from trainers.storage.remote_folder import RemoteFolder

DEFAULT_DATA = "cluttered_digits"
COLUMNS = ("node", "Python", COMPUTES, "code", "data", "storage", "disk", "memory", "shared", "clock", "GPUs")
EPILOGUE = """\
overrides: those of the data of a search, as data=image_folder data.root=DIR

It exits with 0 where trials can run on every node, with 1 where not (with --bad-nodes leave-out on none of them, with
--bad-nodes warn never), and with 2 on a mistake."""


def argument_parser() -> argparse.ArgumentParser:
    """The flags of `python -m cluster.check`."""
    parser = ArgumentParser(
        prog=program("cluster/check.py"),
        usage="%(prog)s [flags] [KEY=VALUE ...]",
        description="Check every node of a Ray cluster, as a search does before it starts.",
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--address", default="auto", help="of the cluster (default auto: the one this machine is in)")
    parser.add_argument(
        "--runs-dir", type=path, default="runs", metavar="DIR", help="where searches are to write (default runs)"
    )
    parser.add_argument(
        "--storage", metavar="ADDRESS", help="where they are to keep checkpoints instead, as s3://BUCKET/PREFIX"
    )
    parser.add_argument("--bad-nodes", choices=BAD_NODES, default=BAD_NODES[0], help="what the exit code is to say")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help=argparse.SUPPRESS)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs a command line. The exit code: 0, 1 where nodes cannot train, 2 on a user's mistake."""
    try:
        given = argument_parser().parse_intermixed_args(arguments)
        data = _data(given.overrides)
        check_connection(given.address)
        if given.storage is None:
            return _check_directory(given.address, Path(given.runs_dir).resolve(), data, given.bad_nodes)
        storage = RemoteFolder(StorageAddress.of(given.storage, "--storage").located(), patience_seconds=0.0)
        check_storage(given.storage)
        return _check(given.address, storage, data, given.bad_nodes)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return MISTAKE


def _data(overrides: Sequence[str]) -> DataConfig:
    read = [read_override(text, "data=image_folder or data.root=DIR") for text in overrides]
    name = next((override.text for override in reversed(read) if override.key == "data"), DEFAULT_DATA)
    if name not in DATA_DEFAULTS:
        raise unknown_name("data set", name, DATA_DEFAULTS)
    settings = {"data": dataclasses.asdict(DATA_DEFAULTS[name])}
    del settings["data"]["name"]
    changes = [override for override in read if override.key != "data"]
    values = with_overrides(settings, changes, {"data": DataConfig})
    return dataclasses.replace(DATA_DEFAULTS[name], **values["data"]).located()


def _check_directory(address: str, storage: Path, data: DataConfig, bad_nodes: str) -> int:
    """The check with a directory, which is made for the time where it is not there."""
    made = [path for path in (storage, *storage.parents) if not path.exists()]
    try:
        storage.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--runs-dir {str(storage)!r} cannot be made: {first_line(error)}.") from None
    try:
        return _check(address, Directory(storage), data, bad_nodes)
    finally:
        for path in made:
            if not os.listdir(path):
                path.rmdir()


def _check(address: str, storage: Folder, data: DataConfig, bad_nodes: str) -> int:
    with slow_step(on_standard_error, "looking at the images"):
        examined = examine_data(data)
    # Ray takes a second to be loaded: a mistake is said before.
    import ray

    from cluster.node_checks import NodeCheck, check_nodes, installed, nodes_without_cpus

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    # Where there is no index of the files, every node looks at them itself.
    known = KnownFiles(str(storage.inside(".no-index")), examined.fingerprint.digest)
    try:
        ray.init(address=address, runtime_env=shipped_code(), **options)
    except Exception as error:
        raise UserError(f"no Ray cluster at {address!r}: {first_line(error)}.") from None
    try:
        with slow_step(on_standard_error, "checking the nodes"):
            reports = list(check_nodes(NodeCheck(storage, data, examined.summary, known)).values())
        without_cpus = nodes_without_cpus()
    finally:
        ray.shutdown()
    rows = [_row(name, report.findings) for name, report in reports]
    here = ("(here)", platform.python_version(), installed().get(COMPUTES, "missing"))
    for line in table(COLUMNS, [*rows, (*here, *[""] * (len(COLUMNS) - len(here)))]):
        print(line)
    print()
    for name, report in reports:
        for word, texts in (("cannot run trials", report.verdict.problems), ("to be known", report.verdict.warnings)):
            for text in texts:
                print(f"node {name}: {word}: {text}")
    for name in without_cpus:
        print(f"node {name}: gives Ray no CPUs, so no trial runs there, and it was not checked")
    problems = {name: report.verdict.problems for name, report in reports}
    bad = sum(map(bool, problems.values()))
    print(f"{len(reports) - bad} of {len(reports)} nodes can run trials")
    try:
        usable(problems, bad_nodes)
    except UserError:
        return FAILURE
    return SUCCESS


def _row(name: str, found: NodeFindings | None) -> tuple[str, ...]:
    """A node's row of the table: what a word says in short stands below it in full."""
    if found is None:
        return (name, *["?"] * (len(COLUMNS) - 1))
    return (
        name,
        found.python,
        found.packages.get(COMPUTES, "missing"),
        _word(found.code),
        # The data are known by an index in the storage.
        "?" if found.storage and found.data is None else _word(found.data),
        _word(found.storage),
        *(f"{amount / 1e9:.1f} GB" for amount in (found.disk_bytes, found.memory_bytes, found.shared_memory_bytes)),
        f"{found.clock_seconds:+.1f} s",
        "FAIL" if found.gpus_trouble else _counted([gpu for gpu, _ in found.gpus]),
    )


def _word(trouble: str | None) -> str:
    return "ok" if trouble is None else "FAIL"


def _counted(gpus: Sequence[str]) -> str:
    counts: Mapping[str, int] = {name: gpus.count(name) for name in dict.fromkeys(gpus)}
    return ", ".join(f"{count} × {name}" for name, count in counts.items()) or "none"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table, its columns aligned."""
    widths = [max(len(row[place]) for row in (columns, *rows)) for place in range(len(columns))]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in (columns, *rows))
    return ["  ".join(cells).rstrip() for cells in padded]


if __name__ == "__main__":
    sys.exit(run_program(main))
