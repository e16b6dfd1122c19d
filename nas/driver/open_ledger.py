"""The ledger that a command works on: a new one, that of the search it goes on with, or one forked from another's."""

import sys
from dataclasses import replace

from nas.driver.checks import check_ledger
from nas.driver.code_revision import code_revision
from nas.driver.earlier_searches import earlier_searches
from nas.ledger.forking import check_whole, copy_weights, origin, taken_over
from nas.ledger.ledger import Ledger
from nas.ledger.location import create_ledger, open_ledger
from nas.settings.command import Command
from nas.settings.header import SearchHeader
from nas.settings.run_directory import RunDirectory, run_directory
from trainers.data.datasets import ExaminedData
from trainers.data.fingerprint import DataFingerprint


def search_ledger(command: Command, directory: RunDirectory, data: ExaminedData, slots: int) -> Ledger:
    """The ledger to work on, made where it is a new one, on `slots` workers, for `data` that were compared already.

    Only for the search's one driver. Raises UserError.
    """
    check_ledger(command, directory, None)
    revision = code_revision()
    if command.previous is not None:
        _warn_of_changed_code(command.fork_of or command.name, command.previous.code_revision, revision)
        _warn_of_images(command.fork_of or command.name, command.previous.data_fingerprint, data.fingerprint)
    if command.resume:
        ledger = open_ledger(directory, command.ledger.url)
        check_whole(ledger)
        ledger.record_data_fingerprint(data.fingerprint)
        ledger.record_data_root(command.data.root)
        return ledger
    header = command.header(data.summary, slots, revision, data.fingerprint, earlier=earlier_searches(command))
    if command.fork_of is None:
        return create_ledger(directory, command.ledger.url, header)
    return _forked(command, command.fork_of, directory, header)


def _forked(command: Command, fork_of: str, directory: RunDirectory, header: SearchHeader) -> Ledger:
    source = run_directory(command.runs_dir, fork_of)
    old = open_ledger(source, command.ledger.url)
    source = source.stored_at(old.header.storage)
    taken = taken_over(old.records, fork_of, command.space, command.search.limits)
    copy_weights(taken, source, directory, command.search.keep_checkpoints)
    # Before they are written, since a thousand take half a minute.
    print(taken.text(fork_of), flush=True)
    return create_ledger(
        directory,
        command.ledger.url,
        replace(header, forked_from=origin(fork_of, old, taken)),
        lambda ledger: ledger.take_over(taken.results, command.space),
    )


def _warn_of_changed_code(name: str, before: str, now: str) -> None:
    if before != now:
        print(
            f"warning: the results of {name} were measured with code {before}, and this is {now}: "
            "if the training has changed in between, those to come are not comparable.",
            file=sys.stderr,
        )


def _warn_of_images(name: str, before: DataFingerprint | None, now: DataFingerprint) -> None:
    """Of images that were checked and have changed, only such as could not be read have."""
    if before is None:
        print(
            f"warning: {name} was begun by code that kept no fingerprint of its images: whether these are the same was "
            "not checked, but for their number.",
            file=sys.stderr,
        )
    elif before != now:
        print(f"images that {name} could not read have been mended", flush=True)
