"""The ledger: the Optuna study that is the only record of a search.

Beside database.py and trial_rows.py this is the only file that sees Optuna's storage.

Every change of state is written here before anything else learns of it; what is in memory is a copy. A trial's state
in Optuna follows its outcome: finished is COMPLETE with (val_accuracy, cost, …), stopped and inherited PRUNED, and all
else that ended FAIL.

A trial's attributes are `proposal`, `latency_ms`, `place`, `epoch_00001` and so on, `standing`, `deaths`, `mishap` and
`end`; the study's are `header`, `search_id`, `tracking`, `yardstick`, `data_fingerprint`, `data_root`,
`limits`, `unreadable_images`, `nodes_left_out`, `driver` and `inference_00042`.
Every one has a checksum (`nas.ledger.checksums`), and reading them fails where a bit has changed. What Optuna itself
keeps of a trial is held against them.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import optuna
from optuna.trial import TrialState

from nas.ledger.checksums import ChecksumMismatch, checked, with_checksum
from nas.ledger.clock import SteadyClock
from nas.ledger.contents import (
    LEDGER_FORMAT,
    LedgerContents,
    inference_key,
    ledger_format,
    other_format,
    unreadable_said,
)
from nas.ledger.database import existing_study, new_study, stored_study
from nas.ledger.driver_claim import ClaimIsTaken, DriverClaim
from nas.ledger.new_trials import imported_trial, new_trial, state_of
from nas.ledger.optuna_samplers import SampledStudy
from nas.ledger.patience import Patience
from nas.ledger.trial_codec import end_of, epoch_key, epoch_of, owner_of, standing_of
from nas.ledger.trial_rows import TrialRows
from nas.records.latency_reference import LatencyReference
from nas.records.left_out_nodes import LeftOutNode
from nas.records.trial import Outcome, TrialRecord, latest_moment
from nas.records.whereabouts import DriverRun, GpuUse, Mishap, Place
from nas.settings.header import SearchHeader
from search_spaces.architecture import Architecture
from search_spaces.errors import UserError
from search_spaces.space import Space
from trainers.data.fingerprint import DataFingerprint
from trainers.epoch_result import EpochResult
from trainers.inference_cost import InferenceCost


class Ledger(LedgerContents):
    """One search's study, which is written here alone. Made by `create` or `open`."""

    def __init__(self, study: optuna.Study) -> None:
        stored = stored_study(study)
        super().__init__(stored)
        self._study = study
        self._sampled = SampledStudy(study)
        self._rows = TrialRows(study)
        self._patience: Patience | None = None
        for trial in stored.trials:
            self._rows.knows(trial.number, trial.key)
        self.clock = SteadyClock(latest_moment(self._records.values()))

    @classmethod
    def create(
        cls, url: str, name: str, header: SearchHeader, begin: "Callable[[Ledger], None] | None" = None
    ) -> "Ledger":
        """A new ledger. Its `header` is never changed, but by `record_data_fingerprint`, `record_data_root`
        and `record_limits`.

        `begin` writes what is to be there from the first. In a SQLite file all of it is there, or nothing.
        """
        with new_study(url, name, header.to_json(), len(header.search.cost_names)) as study:
            if begin is not None:
                begin(cls(study))
        return cls.open(url, name)

    @classmethod
    def open(cls, url: str, name: str) -> "Ledger":
        """The ledger of an existing search. Raises UserError where it cannot be read or is damaged in any bit."""
        with unreadable_said(name, url):
            study = existing_study(url, name)
            found = ledger_format(study.user_attrs)
            if found == LEDGER_FORMAT:
                try:
                    return cls(study)
                except ChecksumMismatch:
                    # A trial is read in several queries, and its driver may just have ended it in between.
                    return cls(existing_study(url, name))
        raise other_format(name, found)

    def outlast_outages(self, claim: DriverClaim) -> None:
        """Has what is written from now on wait for a PostgreSQL database that is away, and take the claim up again.

        It is written in the session of the claim, so by nobody who has lost it. After `record_driver`.
        """

        def take_up() -> None:
            taken: ClaimIsTaken | None = None
            try:
                claim.renew()
            except ClaimIsTaken as error:
                taken = error
            # A driver elsewhere may have had the search in the meantime, or has it.
            if checked("search", "driver", self._study.user_attrs["driver"]) != self._attributes["driver"]:
                claim.drop()
                raise UserError(
                    f"search {self._study.study_name!r} was gone on with by another driver while the ledger was away."
                )
            # It may be this one's own, of a connection whose loss the database has not noticed yet.
            if taken is not None:
                raise taken

        self._patience = Patience(claim.check, take_up)
        self._rows.outlast(self._patience, claim.transaction)

    def keep_claim(self) -> None:
        """Sees, some seconds after the last time, whether the claim still holds, and takes it up again where its
        connection was lost. To be called at every turn.

        Raises UserError where another driver has gone on with the search.
        """
        if self._patience is not None:
            self._patience.keep()

    def take_over(self, results: Sequence[TrialRecord], space: Space) -> None:
        """Writes finished results of another search, numbered from 0, as the first trials of this one.

        They are of architectures that `space` holds.
        """
        assert not self._records
        self._study.add_trials(imported_trial(record, space) for record in results)
        for record in results:
            self._records[record.number] = replace(record, inference=None)
            if record.inference is not None:
                self.record_inference(record.number, record.inference)

    def record_latency_reference(self, reference: LatencyReference) -> None:
        """Writes what latencies are measured beside, once."""
        assert "yardstick" not in self._attributes
        self._write_of_search("yardstick", reference.to_json())

    def record_data_fingerprint(self, fingerprint: DataFingerprint) -> None:
        """Writes what the images are known by from now on: the ledger said nothing of that, or some were mended."""
        if fingerprint != self.header.data_fingerprint:
            self._write_of_search("data_fingerprint", fingerprint.to_json())
            self.header = replace(self.header, data_fingerprint=fingerprint)
            if self.unreadable_images:
                self._write_of_search("unreadable_images", [])

    def record_data_root(self, root: str | None) -> None:
        """Writes where the images lie from now on."""
        if root is not None and root != self.header.data.root:
            self._write_of_search("data_root", root)
            self._set_data_root(root)

    def record_limits(self, limits: Mapping[str, Any]) -> None:
        """Writes the limits of the search that were changed while it ran, by their names in its settings."""
        self._write_of_search("limits", dict(limits))
        self._set_limits(limits)

    def record_unreadable_images(self, paths: Sequence[str]) -> None:
        """Adds to the images that no trial gets past."""
        self._write_of_search("unreadable_images", sorted({*self.unreadable_images, *paths}))

    def record_storage_claim(self, token: str) -> None:
        """Adds to the tokens that drivers of this ledger have left at its storage."""
        self._write_of_search("storage_claims", [*self.storage_claims, token])

    def record_nodes_left_out(self, nodes: Sequence[LeftOutNode]) -> None:
        """Writes the nodes that were left out so far."""
        self._write_of_search("nodes_left_out", [node.to_json() for node in nodes])

    def record_driver(self, host: str, process: int, flags: Sequence[str] = ()) -> None:
        """Writes which process drives the search from now on, and by which flags its command names its machines."""
        self._write_of_search("driver", DriverRun(host, process, self.clock(), None, tuple(flags)).to_json())

    def record_end_of_driver(self) -> None:
        """Writes that the driver has come to its end in order."""
        assert self.driver is not None
        self._write_of_search("driver", replace(self.driver, ended_at=self.clock()).to_json())

    def record_tracking(self, tracking: dict[str, Any]) -> None:
        """Writes to which MLflow store the search is written from now on."""
        if tracking != self.tracking:
            self._write_of_search("tracking", tracking)

    def at_once(self) -> AbstractContextManager[None]:
        """What is written of trials in this context is there in one transaction, from its end on."""
        return self._rows.at_once()

    def propose(self, space: Space, sampler: str, search_seed: int) -> Architecture:
        """The architecture that a sampler of Optuna's would train next. It has to be registered; nothing is written."""
        # It may read the study for the first time.
        self._rows.flush()
        return self._sampled.propose(space, sampler, search_seed=search_seed, proposal=self.next_number)

    def register(self, record: TrialRecord, space: Space) -> None:
        """Writes a trial of an architecture of `space`, with its cost and its outcome so far."""
        assert record.number == self.next_number, record
        now = self.clock()
        record = replace(record, started_at=now, cost_names=self._cost_names)
        if not record.trained:
            record = replace(record, finished_at=now)
        trial = new_trial(record, space, self._sampled.notes())
        self._rows.insert(record.number, trial)
        self._sampled.registered(trial)
        self._records[record.number] = record

    def record_latency(self, number: int, latency_ms: float) -> None:
        """Writes what a trial's worker has measured. It never changes: a second measurement is not written."""
        if self._records[number].latency_ms is None:
            self._write(number, "latency_ms", latency_ms)
            self._records[number] = replace(self._records[number], latency_ms=latency_ms)

    def record_place(self, number: int, node: str, accelerator: str | None = None) -> None:
        """Writes which node a trial is trained on from now on, and the type of its GPUs."""
        place = Place(node, self.clock(), accelerator)
        self._write(number, "place", place.to_json())
        self._records[number] = replace(self._records[number], place=place)

    def record_mishap(self, number: int, node: str, reason: str) -> None:
        """Writes what went wrong with a trial that has not ended."""
        mishap = Mishap(node, reason, self.clock())
        self._write(number, "mishap", mishap.to_json())
        self._records[number] = replace(self._records[number], mishap=mishap)

    def record_epoch(self, number: int, result: EpochResult, gpu: GpuUse | None = None) -> None:
        """Writes the result of one epoch, with the use of its GPU. One that is there already is not written twice."""
        record = self._records[number]
        if result.epoch != len(record.epochs) + 1:
            return
        now = self.clock()
        with self.at_once():
            self._write(number, epoch_key(result.epoch), epoch_of(result, now, gpu))
            # For whoever looks at the study by Optuna's own tools, which would compare it; nothing here reads it.
            if record.inheritance is None:
                self._rows.report(number, result.epoch, result.val_accuracy)
        self._records[number] = replace(record, epochs=(*record.epochs, result), reported_at=now, gpu=gpu)

    def record_continuation(self, number: int, epoch: int) -> None:
        """Writes that it has been decided after `epoch` that a trial trains on."""
        self._write_standing(replace(self._records[number], decided_epoch=epoch))

    def hold(self, number: int, epoch: int) -> None:
        """Writes that a trial waits at a rung. To Optuna it is still running, since what it closes stays closed."""
        self._write_standing(replace(self._records[number], outcome="held", decided_epoch=epoch))

    def promote(self, number: int, now: int) -> None:
        """Writes that a held trial trains on from the virtual time `now`."""
        record = self._records[number]
        self._write_standing(replace(record, outcome="running", stretch_start=now, stretch_epoch=record.decided_epoch))

    def _write_standing(self, record: TrialRecord) -> None:
        self._write(record.number, "standing", standing_of(record))
        self._records[record.number] = record

    def record_death(self, number: int) -> int:
        """Writes that a worker died while it trained a trial. How many did so far."""
        record = self._records[number]
        deaths = record.deaths + 1
        self._write(number, "deaths", deaths)
        self._records[number] = replace(record, deaths=deaths)
        return deaths

    def end(
        self,
        number: int,
        outcome: Outcome,
        *,
        reason: str | None = None,
        decided_epoch: int | None = None,
    ) -> None:
        """Writes how a trial ended, decided after epoch `decided_epoch`: its last where that is None.

        A trial that has ended already stays as it is.
        """
        record = self._records[number]
        if record.outcome not in ("running", "held"):
            return
        ended = replace(
            record,
            outcome=outcome,
            reason=reason,
            finished_at=self.clock(),
            decided_epoch=len(record.epochs) if decided_epoch is None else decided_epoch,
        )
        state = state_of(outcome)
        values = list(record.point) if state == TrialState.COMPLETE else None
        with self.at_once():
            self._write(number, "end", end_of(ended))
            self._rows.close(number, state, values)
        self._sampled.tell(number, values, state)
        self._records[number] = ended

    def record_inference(self, number: int, cost: InferenceCost) -> None:
        """Writes what a trial was measured to cost. One that is there already stays.

        It is kept with the study: Optuna closes a trial that has ended.
        """
        record = self._records[number]
        if record.inference is not None:
            return
        self._write_attribute(inference_key(number), cost.to_json())
        self._records[number] = replace(record, inference=cost)

    def _write_of_search(self, key: str, value: Any) -> None:
        self._write_attribute(key, value)
        self._attributes[key] = value

    def _write_attribute(self, key: str, value: Any) -> None:
        self._rows.set_attribute_of_study(key, with_checksum("search", key, value))

    def _write(self, number: int, key: str, value: Any) -> None:
        attribute = with_checksum(owner_of(number), key, value)
        assert self._records[number].outcome in ("running", "held"), self._records[number]
        self._rows.set_attribute(number, key, attribute)
