"""How a ledger writes into the tables of Optuna's storage: what belongs together in one transaction.

Optuna's own storage asks the database before each of a trial's parameters and attributes whether it may be written, in
some 60 statements a trial, and reads all of a trial before it ends it. A search has one driver, which knows: here a
trial comes in five statements, and is read by Optuna as any other. SQLAlchemy takes longer to make a statement than the
database to carry it out, so each is made once, and past its session's unit of work.
"""

import contextlib
import datetime
import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import optuna
import sqlalchemy
from optuna.distributions import distribution_to_json
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, bindparam
from sqlalchemy.dialects import postgresql, sqlite

from nas.ledger.patience import Patience

Write = Callable[[Connection], None]

_TRIALS: Any = models.TrialModel.__table__


def _insert(model: Any) -> sqlalchemy.Insert:
    return sqlalchemy.insert(model.__table__)


_INSERT_TRIAL = _insert(models.TrialModel)
_INSERT_PARAMETERS = _insert(models.TrialParamModel)
_INSERT_ATTRIBUTES = _insert(models.TrialUserAttributeModel)
_INSERT_SYSTEM_ATTRIBUTES = _insert(models.TrialSystemAttributeModel)
_INSERT_INTERMEDIATE_VALUE = _insert(models.TrialIntermediateValueModel)
_INSERT_VALUES = _insert(models.TrialValueModel)
# What is given beside the id are the columns to be set.
# PostgreSQL tells of a transaction what became of it, to whoever did not hear of its end.
_TRANSACTION = sqlalchemy.text("SELECT txid_current()")
_FATE = sqlalchemy.text("SELECT txid_status(:transaction)")
_CLOSE = sqlalchemy.update(_TRIALS).where(_TRIALS.c.trial_id == bindparam("id"))


class TrialRows:
    """Writes a study and its trials, each known by its number; not for two drivers at a time."""

    def __init__(self, study: optuna.Study) -> None:
        self._study_id = study._study_id
        # Optuna puts a cache of what has ended in front of a database.
        self._storage: Any = getattr(study._storage, "_backend", study._storage)
        self._ids: dict[int, int] = {}
        self._set_attribute = self._upsert(models.TrialUserAttributeModel, "trial_id")
        self._set_attribute_of_study = self._upsert(models.StudyUserAttributeModel, "study_id")
        self._collected: list[Write] | None = None
        self._patience: Patience | None = None
        self._begin: Callable[[], AbstractContextManager[Connection]] = self._own_transaction
        self._transaction: int | None = None

    def outlast(self, patience: Patience, begin: Callable[[], AbstractContextManager[Connection]]) -> None:
        """Has what is written wait for a PostgreSQL database that is away. `begin` begins its transactions."""
        self._patience = patience
        self._begin = begin

    def _upsert(self, model: Any, owner: str) -> Any:
        """Of an attribute, whose former value under the same key gives way."""
        table: Any = model.__table__
        insert = (postgresql if self._storage.engine.name == "postgresql" else sqlite).insert(table)
        return insert.on_conflict_do_update(
            index_elements=[table.c[owner], table.c.key], set_={"value_json": insert.excluded.value_json}
        )

    @contextlib.contextmanager
    def _own_transaction(self) -> Iterator[Connection]:
        with _create_scoped_session(self._storage.scoped_session) as session:
            yield session.connection()

    def knows(self, number: int, key: int) -> None:
        """Takes note of a trial that is in the database already, where its rows are known by `key`."""
        self._ids[number] = key

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Collects what is written in the context, and writes it in one transaction at its end, however that comes."""
        if self._collected is not None:
            yield
            return
        self._collected = []
        try:
            yield
        finally:
            try:
                self.flush()
            finally:
                self._collected = None

    def flush(self) -> None:
        """Writes what was collected so far."""
        if self._collected:
            writes, self._collected = self._collected, []
            if self._patience is None:
                self._carry_out(writes)
            else:
                self._patience.write(functools.partial(self._carry_out, writes), self._is_committed)

    def _carry_out(self, writes: Sequence[Write]) -> None:
        self._transaction = None
        with self._begin() as connection:
            if self._patience is not None:
                self._transaction = connection.scalar(_TRANSACTION)
            for write in writes:
                write(connection)

    def _is_committed(self) -> bool | None:
        """Whether what was carried out last is in the database; None where it is not decided yet."""
        if self._transaction is None:
            return False
        with self._own_transaction() as connection:
            fate = connection.scalar(_FATE, {"transaction": self._transaction})
        return None if fate == "in progress" else bool(fate == "committed")

    def insert(self, number: int, trial: FrozenTrial) -> None:
        """Writes a new trial, without values."""

        def write(connection: Connection) -> None:
            inserted = connection.execute(
                _INSERT_TRIAL,
                {
                    "study_id": self._study_id,
                    "number": number,
                    "state": trial.state,
                    "datetime_start": trial.datetime_start,
                    "datetime_complete": trial.datetime_complete,
                },
            )
            key = inserted.inserted_primary_key
            assert key is not None
            trial_id = self._ids[number] = int(key[0])
            offers = trial.distributions
            parameters = [
                {"param_name": name, "param_value": offers[name].to_internal_repr(value), **_offer(offers[name])}
                for name, value in trial.params.items()
            ]
            for insert, rows in (
                (_INSERT_PARAMETERS, parameters),
                (_INSERT_ATTRIBUTES, _attributes(trial.user_attrs)),
                (_INSERT_SYSTEM_ATTRIBUTES, _attributes(trial.system_attrs)),
            ):
                if rows:
                    connection.execute(insert, [{"trial_id": trial_id, **each} for each in rows])

        self._write(write)

    def set_attribute(self, number: int, key: str, value: Any) -> None:
        """Writes an attribute of a trial that has not ended, in the place of what it was."""
        value_json = json.dumps(value)

        def write(connection: Connection) -> None:
            row = {"trial_id": self._ids[number], "key": key, "value_json": value_json}
            connection.execute(self._set_attribute, row)

        self._write(write)

    def set_attribute_of_study(self, key: str, value: Any) -> None:
        """Writes an attribute of the study, in the place of what it was."""
        row = {"study_id": self._study_id, "key": key, "value_json": json.dumps(value)}

        def write(connection: Connection) -> None:
            connection.execute(self._set_attribute_of_study, row)

        self._write(write)

    def report(self, number: int, step: int, value: float) -> None:
        """Writes an intermediate value of a trial that has not ended, once for each step.

        `Trial.report` refuses a study of several objectives, the tables do not.
        """
        stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
        row = {"step": step, "intermediate_value": stored, "intermediate_value_type": kind}

        def write(connection: Connection) -> None:
            connection.execute(_INSERT_INTERMEDIATE_VALUE, {"trial_id": self._ids[number], **row})

        self._write(write)

    def close(self, number: int, state: TrialState, values: Sequence[float] | None) -> None:
        """Ends a trial, after which it is never written again."""

        ended_at = datetime.datetime.now()
        stored = [models.TrialValueModel.value_to_stored_repr(value) for value in values or ()]

        def write(connection: Connection) -> None:
            trial_id = self._ids[number]
            found = connection.execute(_CLOSE, {"id": trial_id, "state": state, "datetime_complete": ended_at})
            assert found.rowcount == 1, number
            rows = [
                {"trial_id": trial_id, "objective": objective, "value": value, "value_type": kind}
                for objective, (value, kind) in enumerate(stored)
            ]
            if rows:
                connection.execute(_INSERT_VALUES, rows)

        self._write(write)

    def _write(self, write: Write) -> None:
        if self._collected is not None:
            self._collected.append(write)
            return
        with self.at_once():
            self._write(write)


def _offer(distribution: optuna.distributions.BaseDistribution) -> dict[str, str]:
    return {"distribution_json": distribution_to_json(distribution)}


def _attributes(values: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"key": key, "value_json": json.dumps(value)} for key, value in values.items()]
