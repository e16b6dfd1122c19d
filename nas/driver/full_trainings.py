"""What the most accurate member of a front and the anchors reach in their full training, beside that front."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from nas.driver.found_bundle import found_bundle
from nas.driver.front_table import front_table
from nas.driver.stored_files import store_files
from nas.driver.texts import print_pasted, print_table, print_text
from nas.ledger.contents import LedgerContents
from nas.records.front import best_of, finished, front_of
from nas.records.trial import TrialRecord
from nas.settings.run_directory import RunDirectory
from nas.settings.store_settings import TrackingSettings
from search_spaces.errors import UserError, printable
from search_spaces.exit_codes import FAILURE, INTERRUPTED, SUCCESS
from search_spaces.machine import prepare_machine
from search_spaces.units import counted, readable_flops
from trainers.bundle.trained import read_trained
from trainers.data.config import DataConfig
from trainers.data.data_changes import data_changes, undoing
from trainers.data.datasets import examine_data
from trainers.full.full_training import finished_result, run
from trainers.full.needs import training_needs
from trainers.full.plan import Plan, prepare
from trainers.full.readout import announce, failure_line
from trainers.full.train_settings import settings_of
from trainers.loop import TRAINING_FAILURES
from trainers.recipe import NOT_COMPILED
from trainers.stopping import Stopped, StopSignals

# Of weights, order and augmentation, as trainers/train.py has it.
SEED = 0


@dataclass(frozen=True, slots=True)
class FullTraining:
    """A trial of a search, why it is trained fully, and what came of that: a result of `trainers.full`."""

    record: TrialRecord
    role: str
    result: dict[str, Any]


def compared(records: Sequence[TrialRecord]) -> list[tuple[TrialRecord, str]]:
    """The trials that are trained fully, each once, with what they are in the search. Raises UserError without any."""
    members = front_of(records)
    if not members:
        raise UserError("no architecture of this search was trained to the end, so there is no front yet.")
    anchors = [record for record in finished(records) if record.anchor]
    best = best_of(members)
    found = {best.number: (best, "most accurate, an anchor" if best in anchors else "most accurate")}
    for anchor in anchors:
        found.setdefault(anchor.number, (anchor, "anchor"))
    return list(found.values())


def train_fully(console: Console, options: argparse.Namespace, directory: RunDirectory, ledger: LedgerContents) -> int:
    """Trains them one after the other and prints the front and what they reached. The exit code.

    What was trained before is not trained again. Raises UserError before anything is written where that can be, and
    OSError where nothing can be written.
    """
    out = Path(options.out) if options.out else directory.full_trainings
    chosen = compared(ledger.records)
    plans: list[Plan] = []
    for record, _ in chosen:
        bundle = found_bundle(directory, ledger, record, f"trial={record.number}")
        settings = settings_of(bundle, options.overrides, SEED)
        if not plans:
            is_compiled = settings.conduct.compile != NOT_COMPILED
            prepare_machine(training_needs(settings.data.loader_workers, is_compiled=is_compiled))
            _check_same_images(directory, ledger, settings.data)
        plans.append(prepare(bundle, settings, out / f"{record.number:04d}", options.device))
    trained = []
    with StopSignals() as signals:
        signals.claim()
        for plan, (record, role) in zip(plans, chosen, strict=True):
            try:
                result = finished_result(plan)
                if result is None:
                    announce(plan)
                    result = run(plan, signals.requested)
            except TRAINING_FAILURES as error:
                print(f"error: trial {record.number}: {failure_line(error)}", file=sys.stderr)
                return FAILURE
            except Stopped:
                if signals.exit_code == INTERRUPTED:
                    raise KeyboardInterrupt from None
                print("\ninterrupted; the same command goes on", file=sys.stderr)
                return signals.exit_code
            trained.append(FullTraining(record, role, result))
    if not options.out:
        outcomes = [path for plan in plans for path in plan.out.rglob("*") if path.is_file()]
        kept = [path for path in outcomes if "checkpoints" not in path.parts[len(out.parts) :]]
        store_files(directory.stored_at(ledger.header.storage), kept)
    _print_results(console, front_of(ledger.records), trained, out)
    for line in _brought_into_mlflow(directory, ledger, [plan.out for plan in plans]):
        print_pasted(console, line)
    return SUCCESS


def _brought_into_mlflow(directory: RunDirectory, ledger: LedgerContents, trained: Sequence[Path]) -> list[str]:
    """Writes the trainings into the search's MLflow store. What is to be said of that: they have ended well anyway."""
    if ledger.tracking is None:
        return []
    # It takes seconds to import, and the trainings do without.
    from nas.driver.mlflow_catch_up import catch_up

    try:
        tracking = TrackingSettings.from_kept(ledger.tracking, None, "--tracking-uri URI of nas/report.py")
    except UserError as error:
        return [f"MLflow   is not up to date: {error}"]
    return catch_up(directory, ledger, tracking, [], [read_trained(out) for out in trained])[1]


def _check_same_images(directory: RunDirectory, ledger: LedgerContents, data: DataConfig) -> None:
    """Raises UserError where the images are not those of the search. Another data set is asked for by its name."""
    before, index = ledger.header.data_fingerprint, directory.data_index
    if before is None or data.name != ledger.header.data.name:
        return
    images = examine_data(data, index)
    found = data_changes(before, index, images, ledger.unreadable_images)
    if found:
        raise UserError(
            f"search {directory.name!r} measured its accuracies on other images: {'; '.join(found)}. Full trainings on "
            f"these cannot be compared with it: {undoing(before, index, images)}, or train an exported network alone, "
            "by trainers/train.py."
        )


def _print_results(console: Console, front: Sequence[TrialRecord], trained: Sequence[FullTraining], out: Path) -> None:
    print_text(console, f"\nthe front, after {counted(len(front[-1].epochs), 'epoch')} of the search\n")
    print_table(console, front_table(front, None))
    epochs = counted(trained[0].result["epochs"], "epoch")
    print_text(console, f"\nfully trained: {epochs} from scratch on {trained[0].result['data']}, one seed\n")
    print_table(console, _table(trained))
    print_pasted(console, f"\nresults  {printable(str(out))}")


def _table(trained: Sequence[FullTraining]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), title_justify="left")
    for header in ("trial", "in the search", "fully trained", "test", "FLOPs"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column()
    for entry in trained:
        result, test = entry.result, entry.result["test_accuracy"]
        table.add_row(
            str(entry.record.number),
            f"{entry.record.point[0]:.2%}",
            f"{result['val_accuracy']:.2%}",
            "–" if test is None else f"{test:.2%}",
            readable_flops(result["flops"]).removesuffix("FLOPs").strip(),
            f"{entry.record.architecture.label}  ← {entry.role}",
        )
    return table
