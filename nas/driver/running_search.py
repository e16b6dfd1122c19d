"""A search that another process drives: what it may be asked for, and whether anybody is there to be asked."""

import socket
import time
from collections.abc import Mapping
from typing import Any

from nas.driver.commands import going_on, last_resumed_command, limit_flags
from nas.driver.lock import is_suspended, listens_here, living_holder, may_be_starting, process_drives
from nas.driver.requests import LIMITS, POLL_SECONDS, WAIT_SECONDS, Request, ask, check_limits
from nas.ledger.contents import LedgerContents
from nas.ledger.location import found_run, read_ledger
from nas.records.search_status import DriverState, SearchStatus, latest_driver, search_status
from nas.records.whereabouts import DriverRun
from nas.settings.run_directory import RunDirectory, run_directory
from nas.settings.search_settings import SearchSettings
from search_spaces.errors import UserError


def begun_run(runs: str, name: str, ledger_url: str | None) -> RunDirectory:
    """The directory of a search that has a ledger, which a new one may be on its way to, as it starts Ray before that.

    It is waited for as long as a driver to answer is. Raises UserError where there is none.
    """
    directory, deadline = run_directory(runs, name), time.monotonic() + WAIT_SECONDS
    while may_be_starting(directory) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return found_run(runs, name, ledger_url)


def change_running(
    directory: RunDirectory, ledger_url: str | None, limits: Mapping[str, Any], *, stop: bool = False
) -> str:
    """Has the driver of a search change `limits`, by their names in `SearchSettings`, or end it. What it says.

    Raises UserError where a limit cannot be or nobody runs the search, and OSError where it cannot be asked.
    """
    check_limits(limits)
    if not limits and not stop:
        raise UserError(f"no limit is given: expected one of {', '.join(LIMITS)}.")
    ledger = read_ledger(directory, ledger_url)
    SearchSettings.from_json({**ledger.header.search.to_json(), **limits})
    driver = driver_of(directory, ledger)
    if driver is None or not may_run(directory, driver):
        raise UserError(f"search {directory.name!r} does not run: {_instead(directory, driver, limits)}")
    if _driver_state(directory, driver) == "suspended":
        raise UserError(
            f"the driver of search {directory.name!r}, process {driver.process}, is suspended and hears nothing: "
            f"{going_on(driver.process)}."
        )
    if not listens_here(directory, driver):
        raise UserError(
            f"the driver of search {directory.name!r}, process {driver.process} on {driver.host}, does not look into "
            f"{str(directory.runs)!r}: expected the --runs-dir that it was started with."
        )
    said = ask(directory, Request(dict(limits), stop))
    if said is None:
        raise UserError(
            f"nobody who runs search {directory.name!r} has answered, and the request is withdrawn: it is just "
            "starting, waits for a ledger or a storage that is away, or does not run any more, and then "
            f"{_instead(directory, driver, limits)}"
        )
    return said


def driver_of(directory: RunDirectory, ledger: LedgerContents) -> DriverRun | None:
    """The driver of a search, as its ledger and its lock say. None where nobody has run it."""
    return latest_driver(ledger.driver, living_holder(directory))


def may_run(directory: RunDirectory, driver: DriverRun | None) -> bool:
    """Whether a driver may be there: of a process on another machine nobody here can tell."""
    return _driver_state(directory, driver) in ("running", "suspended", "elsewhere")


def _driver_state(directory: RunDirectory, driver: DriverRun | None) -> DriverState:
    if driver is None:
        return "unknown"
    if driver.ended_at is not None:
        return "ended"
    if driver.host != socket.gethostname():
        return "elsewhere"
    if not process_drives(directory, driver.process):
        return "gone"
    return "suspended" if is_suspended(driver.process) else "running"


def status_of(directory: RunDirectory, ledger: LedgerContents) -> SearchStatus:
    """What a search is doing, as its ledger and the lock of its driver say."""
    driver = driver_of(directory, ledger)
    return search_status(
        directory.name,
        ledger.records,
        ledger.header.training.epochs,
        ledger.nodes_left_out,
        driver,
        _driver_state(directory, driver),
        time.time(),
    )


def _instead(directory: RunDirectory, driver: DriverRun | None, limits: Mapping[str, Any]) -> str:
    if not limits:
        return "there is nothing to be ended."
    command = last_resumed_command(directory, driver, limit_flags(limits))
    return f"this goes on with it within these limits: {command}"
