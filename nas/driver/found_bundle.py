"""A trial of a search as a bundle, without its weights: made without torch, so that a mistake is found at once."""

from collections.abc import Sequence
from importlib.metadata import version

from nas.ledger.contents import LedgerContents
from nas.records.trial import TrialRecord
from nas.settings.run_directory import RunDirectory
from trainers.bundle.contents import Bundle
from trainers.bundle.provenance import Provenance
from trainers.full.train_settings import settings_of
from trainers.recipe_files import full_training


def found_bundle(directory: RunDirectory, ledger: LedgerContents, record: TrialRecord, choice: str) -> Bundle:
    """A finished trial as a bundle; `choice` says how it was picked."""
    header = ledger.header
    last = record.epochs[-1]
    provenance = Provenance(
        search=directory.name,
        search_id=ledger.search_id,
        pick=choice,
        trial=record.number,
        seed=record.seed,
        search_seed=header.search.seed,
        code_revision=header.code_revision,
        torch_version=version("torch"),
        search_training=header.training.to_json(),
        search_data=header.data_summary.to_json(),
        epochs=len(record.epochs),
        train_loss=last.train_loss,
        val_loss=last.val_loss,
        val_accuracy=last.val_accuracy,
        flops=record.flops,
        params=record.params,
        inference=None if record.inference is None else record.inference.to_json(),
    )
    return Bundle(
        record.architecture,
        full_training(header.data.name),
        header.data,
        header.data_summary,
        provenance,
        header.data_fingerprint,
    ).described()


def check_full_training(directory: RunDirectory, ledger: LedgerContents, overrides: Sequence[str]) -> None:
    """Raises UserError where no network of a search can be trained fully with these settings."""
    trained = next((record for record in ledger.records if record.epochs), None)
    if trained is not None:
        settings_of(found_bundle(directory, ledger, trained, f"trial={trained.number}"), overrides, 0)
