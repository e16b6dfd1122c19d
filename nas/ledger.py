"""The ledger: the Optuna study that is the only record of a search. The only file that sees Optuna's storage.

Every change of state is written here before anything else learns of it; what is in memory is a copy. A trial's state
in Optuna follows its outcome: finished is COMPLETE with (val_accuracy, flops), stopped PRUNED, and FAIL all else that
ended.
"""

import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from nas.records import Outcome, TrialRecord
from nas.samplers import sampler_named
from search_spaces.architecture import Architecture
from search_spaces.errors import UserError
from search_spaces.space import Space, Value
from trainers.inference import InferenceCost
from trainers.loop import EpochResult

LEDGER_FORMAT = 2
OPTUNA_STATES: dict[Outcome, TrialState] = {"finished": TrialState.COMPLETE, "stopped": TrialState.PRUNED}


class Ledger:
    """One search's study. Made by `create` or `open`; `records` is its content, in the order of the trials' numbers."""

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self._trials: dict[int, Trial] = {}
        self._records: dict[int, TrialRecord] = {}
        for trial in study.get_trials(deepcopy=False):
            # A proposal that is not registered yet has no architecture.
            if "architecture" in trial.user_attrs:
                self._trials[trial.number] = Trial(study, trial._trial_id)
                self._records[trial.number] = _record(trial)
        for number, record in self._records.items():
            stored = study.user_attrs.get(_inference_key(number))
            if stored is not None:
                self._records[number] = replace(record, inference=InferenceCost.from_json(stored))

    @classmethod
    def create(cls, url: str, name: str, header: dict[str, Any]) -> "Ledger":
        """A new ledger. `header` is what the search was started with, as JSON; it is never changed."""
        try:
            study = optuna.create_study(
                storage=_storage(url), study_name=name, directions=["maximize", "minimize"], load_if_exists=False
            )
        except optuna.exceptions.DuplicatedStudyError:
            raise UserError(f"a search named {name!r} exists already: resume it with --resume {name}.") from None
        study.set_user_attr("search_id", uuid.uuid4().hex)
        study.set_user_attr("header", {"ledger_format": LEDGER_FORMAT, **header})
        return cls(study)

    @classmethod
    def open(cls, url: str, name: str) -> "Ledger":
        """The ledger of an existing search. Raises UserError where it cannot be read."""
        try:
            study = optuna.load_study(storage=_storage(url), study_name=name)
        except Exception as error:
            raise UserError(f"the ledger of search {name!r} cannot be read: {_first_line(error)}.") from error
        ledger_format = study.user_attrs.get("header", {}).get("ledger_format")
        if ledger_format != LEDGER_FORMAT:
            raise UserError(f"the ledger of search {name!r} has format {ledger_format!r}: expected {LEDGER_FORMAT}.")
        return cls(study)

    def drop_cut_off_proposals(self) -> None:
        """Ends the proposals that were cut off before they were registered. Only for a search's one driver."""
        for trial in self._study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            if trial.number not in self._records:
                self._study.tell(trial.number, state=TrialState.FAIL)

    @property
    def search_id(self) -> str:
        return str(self._study.user_attrs["search_id"])

    @property
    def header(self) -> dict[str, Any]:
        return dict(self._study.user_attrs["header"])

    @property
    def records(self) -> tuple[TrialRecord, ...]:
        return tuple(self._records[number] for number in sorted(self._records))

    def record(self, number: int) -> TrialRecord:
        return self._records[number]

    def propose(
        self, space: Space, sampler: str, search_seed: int, fixed: dict[str, Value] | None = None
    ) -> tuple[int, Architecture]:
        """A new trial's number and the architecture that the sampler (or, where given, `fixed`) chooses for it.

        The trial is in the ledger only once it is registered.
        """
        self._study.sampler = sampler_named(sampler, search_seed=search_seed, proposal=len(self._records))
        if fixed is not None:
            self._study.enqueue_trial(fixed)
        trial = self._study.ask()
        architecture = space.decide(lambda name, values: _suggest(trial, name, values))
        self._trials[trial.number] = trial
        return trial.number, architecture

    def register(self, record: TrialRecord) -> None:
        """Writes a proposal with its cost and its outcome so far."""
        trial = self._trials[record.number]
        fields = {
            "flops": record.flops,
            "params": record.params,
            "seed": record.seed,
            "anchor": record.anchor,
            "replicate": record.replicate,
            "started_at": time.time(),
        }
        for key, value in fields.items():
            trial.set_user_attr(key, value)
        trial.set_user_attr("architecture", record.architecture.to_json())
        self._records[record.number] = replace(record, outcome="running", started_at=fields["started_at"])
        if record.outcome != "running":
            self.end(record.number, record.outcome, reason=record.reason, duplicate_of=record.duplicate_of)

    def record_epoch(self, number: int, result: EpochResult) -> None:
        """Writes the result of one epoch. One that is there already is not written twice."""
        record = self._records[number]
        if result.epoch != len(record.epochs) + 1:
            return
        self._trials[number].set_user_attr(_epoch_key(result.epoch), asdict(result))
        self._records[number] = replace(record, epochs=(*record.epochs, result))

    def hold(self, number: int) -> None:
        """Writes that a trial waits at a rung. To Optuna it is still running, since what it closes stays closed."""
        self._trials[number].set_user_attr("held", True)
        self._records[number] = replace(self._records[number], outcome="held")

    def promote(self, number: int) -> None:
        """Writes that a held trial trains on."""
        self._trials[number].set_user_attr("held", False)
        self._records[number] = replace(self._records[number], outcome="running")

    def record_death(self, number: int) -> int:
        """Writes that a worker died while it trained a trial. How many did so far."""
        record = self._records[number]
        deaths = record.deaths + 1
        self._trials[number].set_user_attr("deaths", deaths)
        self._records[number] = replace(record, deaths=deaths)
        return deaths

    def end(self, number: int, outcome: Outcome, *, reason: str | None = None, duplicate_of: int | None = None) -> None:
        """Writes how a trial ended. A trial that has ended already stays as it is."""
        record = self._records[number]
        if record.outcome not in ("running", "held"):
            return
        trial = self._trials[number]
        finished_at = time.time()
        for key, value in {"reason": reason, "duplicate_of": duplicate_of, "finished_at": finished_at}.items():
            if value is not None:
                trial.set_user_attr(key, value)
        trial.set_user_attr("outcome", outcome)
        state = OPTUNA_STATES.get(outcome, TrialState.FAIL)
        values = list(record.point) if state == TrialState.COMPLETE else None
        self._study.tell(number, values=values, state=state)
        self._records[number] = replace(
            record, outcome=outcome, reason=reason, duplicate_of=duplicate_of, finished_at=finished_at
        )

    def record_inference(self, number: int, cost: InferenceCost) -> None:
        """Writes what a trial was measured to cost. One that is there already stays.

        It is kept with the study: Optuna closes a trial that has ended.
        """
        record = self._records[number]
        if record.inference is not None:
            return
        self._study.set_user_attr(_inference_key(number), cost.to_json())
        self._records[number] = replace(record, inference=cost)


def _suggest(trial: Trial, name: str, values: Sequence[Value]) -> Value:
    value = trial.suggest_categorical(name, list(values))
    assert value is not None
    return value


def _storage(url: str) -> optuna.storages.RDBStorage:
    # Optuna announces every study and trial; what a user has to know is said by the search.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.storages.RDBStorage(url)


def ledger_url(path: Path) -> str:
    """The URL of the SQLite ledger at `path`."""
    return f"sqlite:///{path.resolve()}"


def _epoch_key(epoch: int) -> str:
    return f"epoch_{epoch:05d}"


def _inference_key(number: int) -> str:
    return f"inference_{number:05d}"


def _record(trial: FrozenTrial) -> TrialRecord:
    stored = trial.user_attrs
    epochs = sorted(key for key in stored if key.startswith("epoch_"))
    unfinished: Outcome = "held" if stored.get("held") else "running"
    outcome: Outcome = stored.get("outcome", unfinished) if trial.state.is_finished() else unfinished
    return TrialRecord(
        number=trial.number,
        architecture=Architecture.from_json(stored["architecture"]),
        flops=stored["flops"],
        params=stored["params"],
        seed=stored["seed"],
        outcome=outcome,
        epochs=tuple(EpochResult(**stored[key]) for key in epochs),
        anchor=stored["anchor"],
        replicate=stored.get("replicate", 0),
        reason=stored.get("reason"),
        duplicate_of=stored.get("duplicate_of"),
        deaths=stored.get("deaths", 0),
        started_at=stored.get("started_at"),
        finished_at=stored.get("finished_at"),
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
