"""Makes the report of a search from its ledger, while it runs or afterwards, and brings MLflow up to the ledger.

python nas/report.py NAME [--tracking-uri URI]      the report in the search's directory, and MLflow
python nas/report.py NAME --trained DIR...          full trainings of its trials into MLflow, too
python nas/report.py NAME --open | --out DIR        the report alone, without MLflow
python nas/report.py NAME --serve [--port N]        the report while the search runs, to a browser on this machine
python nas/report.py A B ...                        several fronts in one page and one picture, compared
"""

if __name__ == "__main__":
    import os
    import sys

    # Where nobody has installed the project, it is found beside this script.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from search_spaces.installed import require_installed

    require_installed()

from search_spaces.ctrl_c import end_on_ctrl_c

if __name__ == "__main__":
    # What is imported next takes a while, and may not be installed.
    end_on_ctrl_c()
    from search_spaces.extras import require_search

    require_search("nas/report.py")

import argparse
import os
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nas.driver.steps import step
from nas.driver.texts import error_console
from nas.settings.addresses import redacted
from nas.settings.arguments import add_existing_search, check_named
from nas.settings.run_directory import RunDirectory, existing_run
from nas.settings.store_settings import LEDGER_VARIABLE, TrackingSettings
from search_spaces.arguments import ArgumentParser, path, port
from search_spaces.collection import collection_paused
from search_spaces.errors import UserError
from search_spaces.exit_codes import FAILURE, MISTAKE, SUCCESS
from search_spaces.machine import prepare_temporary_directory
from search_spaces.paths import check_can_be_directory, check_others_are_not_in
from search_spaces.programs import program
from search_spaces.slow_steps import LOADING_SECONDS
from search_spaces.standard_streams import run_program

if TYPE_CHECKING:
    from nas.reporting.drawing_process import DrawingProcess

# Of --serve.
DEFAULT_PORT = 5100


def argument_parser() -> argparse.ArgumentParser:
    """The flags of `nas/report.py`."""
    parser = ArgumentParser(
        prog=program("nas/report.py"),
        usage="%(prog)s NAME [NAME ...] [flags]",
        description="Write the report of a search from its ledger: an interactive page, pictures, and tables. Without "
        "--open and --out, write into the search's MLflow store whatever it lacks of the search, too. Of several "
        "searches: compare their fronts in one page, one picture and one box.",
        allow_abbrev=False,
    )
    add_existing_search(parser, several=True)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--open", action="store_true", help="open the page in a browser, and leave MLflow alone")
    where.add_argument(
        "--out",
        type=path,
        metavar="DIR",
        help="where to write it (default: the search's own report directory, of several RUNS/comparisons/A-B)",
    )
    where.add_argument(
        "--tracking-uri", metavar="URI", help="the MLflow store to write (default: that which the search wrote)"
    )
    parser.add_argument(
        "--serve", action="store_true",
        help="serve the page on this machine alone, brought up to date while the search runs, until Ctrl-C",
    )  # fmt: skip
    parser.add_argument(
        "--port", type=port, metavar="N", help=f"of --serve (default {DEFAULT_PORT}); 0 takes any that is free"
    )
    parser.add_argument(
        "--trained", metavar="DIR", type=path, nargs="+",
        help="bring these full trainings of its trials, and detectors on them, into MLflow, too, beside those of "
        "nas/train_fully.py",
    )  # fmt: skip
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs a command line. The exit code: 0, 1 where the report, MLflow or the storage cannot be written, or 2 on a
    mistake."""
    try:
        options = argument_parser().parse_args(list(arguments))
        check_named(options.names, options.runs_dir)
        directories = [_directory(options, name) for name in dict.fromkeys(options.names)]
        if options.serve:
            return _serve(directories, options)
        if options.port is not None:
            raise UserError("--port is for --serve.")
        with collection_paused():
            return _report(directories[0], options) if len(options.names) == 1 else _compare(directories, options)
    except UserError as error:
        print(f"error: {redacted(str(error))}", file=sys.stderr)
        return MISTAKE


def _serve(directories: list[RunDirectory], options: argparse.Namespace) -> int:
    from nas.driver.live_report import LiveReport
    from nas.driver.report_server import ReportServer

    if len(directories) > 1:
        raise UserError(f"--serve is for the report of one search: {len(directories)} are named.")
    for flag, value in (
        ("--out", options.out),
        ("--tracking-uri", options.tracking_uri),
        ("--trained", options.trained),
    ):
        if value is not None:
            raise UserError(f"{flag} is not for --serve, which writes nothing.")
    prepare_temporary_directory()
    report = LiveReport(directories[0], options.ledger_url)
    with ReportServer(report, DEFAULT_PORT if options.port is None else options.port) as server:
        print(f"{server.address}  until Ctrl-C", flush=True)
        if options.open:
            _open(server.address)
        server.serve_forever()
    return SUCCESS


def _directory(options: argparse.Namespace, name: str) -> RunDirectory:
    """Where a search is. Raises UserError where there is none."""
    if options.ledger_url is None and not os.environ.get(LEDGER_VARIABLE):
        return existing_run(options.runs_dir, name)
    # A database takes longer to be asked, and may know it from another machine.
    from nas.ledger.location import found_run

    return found_run(options.runs_dir, name, options.ledger_url)


def _report(directory: RunDirectory, options: argparse.Namespace) -> int:
    if options.trained is not None and (options.open or options.out):
        raise UserError("--trained brings full trainings into MLflow, which --open and --out leave alone.")
    prepare_temporary_directory()
    from nas.reporting.drawing_process import drawing_process

    # Before any thread is started.
    with drawing_process() as drawing:
        return _written(directory, options, drawing)


def _written(directory: RunDirectory, options: argparse.Namespace, drawing: "DrawingProcess") -> int:
    console = error_console()
    with step(console, f"reading the ledger of {directory.name}", LOADING_SECONDS):
        from nas.ledger.location import read_ledger

        ledger = read_ledger(directory, options.ledger_url)
        facts, records = ledger.header.facts(directory.name, ledger.most_latency_ms), ledger.records
    if (options.trained is not None or options.tracking_uri is not None) and ledger.tracking is None:
        raise _without_store(directory)
    out = Path(options.out) if options.out else directory.report
    if options.out:
        from nas.reporting.style import REPORT_PAGE

        check_others_are_not_in(out, REPORT_PAGE, "--out")
    check_can_be_directory(out, "the report cannot be written")
    try:
        with step(console, "writing the report", LOADING_SECONDS):
            from nas.driver.commands import background_of
            from nas.reporting.write import write_report

            background = background_of(directory, ledger.header, ledger.driver)
            page, *others = write_report(out, facts, records, background, drawing)
    except OSError as error:
        print(f"error: the report cannot be written to {str(out)!r}: {error.strerror or error}", file=sys.stderr)
        return FAILURE
    print(page)
    if not options.out and ledger.header.storage is not None:
        from nas.driver.stored_files import store_files
        from trainers.storage.remote_folder import StorageLost

        try:
            with step(console, "writing it to the storage", LOADING_SECONDS):
                store_files(directory.stored_at(ledger.header.storage), [page, *others])
        except StorageLost as error:
            print(f"error: the storage {error}; the report is in {str(out)!r} alone", file=sys.stderr)
            return FAILURE
    if options.open:
        _open(page.resolve().as_uri())
    if options.open or options.out or ledger.tracking is None:
        return SUCCESS
    tracking = TrackingSettings.from_kept(ledger.tracking, options.tracking_uri, "--tracking-uri URI")
    with step(console, "bringing MLflow up to date", LOADING_SECONDS):
        from nas.driver.mlflow_catch_up import catch_up, trainings_of

        trained = trainings_of(directory, ledger, options.trained or ())
        files = [page, *others, *([directory.summary] if directory.summary.is_file() else [])]
        went_well, lines = catch_up(directory, ledger, tracking, files, trained)
    for line in lines:
        print(line)
    return SUCCESS if went_well else FAILURE


def _without_store(directory: RunDirectory) -> UserError:
    return UserError(f"search {directory.name!r} has no MLflow store: it was never run.")


def _open(address: str) -> None:
    """Opens a page; where there is no browser, as on a server, says so: the page is there all the same."""
    if not webbrowser.open(address):
        print("no browser could be started here: the page above is to be opened elsewhere", file=sys.stderr)


def _compare(directories: list[RunDirectory], options: argparse.Namespace) -> int:
    if len(directories) == 1:
        raise UserError(f"search {directories[0].name!r} is named twice: expected several searches, or it alone.")
    if options.trained is not None:
        raise UserError("--trained is for the report of one search.")
    prepare_temporary_directory()
    console = error_console()
    try:
        with step(console, "comparing the searches", LOADING_SECONDS):
            from nas.driver.compared_searches import compare_searches

            comparison = compare_searches(directories, options.ledger_url, options.out)
    except OSError as error:
        print(f"error: the comparison cannot be written: {error}", file=sys.stderr)
        return FAILURE
    kept = comparison.ledgers[0].tracking
    if options.tracking_uri is not None and kept is None:
        raise _without_store(directories[0])
    page, *_ = comparison.files
    for line in (*comparison.table, *comparison.lines, str(page)):
        print(line)
    if options.open:
        _open(page.resolve().as_uri())
    if options.open or options.out or kept is None:
        return SUCCESS
    tracking = TrackingSettings.from_kept(kept, options.tracking_uri, "--tracking-uri URI")
    with step(console, "bringing the comparison into MLflow", LOADING_SECONDS):
        from nas.driver.comparison_in_mlflow import compared_in_mlflow

        went_well, lines = compared_in_mlflow(comparison, directories[0], tracking)
    for line in lines:
        print(line)
    return SUCCESS if went_well else FAILURE


if __name__ == "__main__":
    sys.exit(run_program(main))
