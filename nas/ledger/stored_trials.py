"""The study of a ledger as the tables of Optuna's storage hold it, read by queries of whole tables.

Optuna makes an object of every row before it makes trials of them, and a distribution of its text twice for every
parameter of every trial: at 1,000 trials of 9 epochs in the mean that took 2.5 s of CPU, and this a quarter. The
queries are plain SQL, so that whoever only reads a file has no need of Optuna and SQLAlchemy, which take a second to
load.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

_NOT_FINITE = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}


class Query(Protocol):
    """Carries out a statement, with its parameters by their names, and returns the rows."""

    def __call__(self, statement: str, parameters: Mapping[str, object]) -> Sequence[Sequence[Any]]: ...


@dataclass(frozen=True, slots=True)
class StoredTrial:
    """A trial as it is stored: `state` is the name of Optuna's, `key` what other tables call the trial by.

    `choices` are the values chosen, `offers` those that each was chosen from, None where it was from no list. `notes`
    are what Optuna's sampler noted. `reports` are the accuracies reported to Optuna, by epoch.
    """

    key: int
    number: int
    state: str
    choices: dict[str, Any]
    offers: dict[str, list[Any] | None]
    values: list[float] | None
    attributes: dict[str, Any]
    notes: dict[str, Any]
    reports: dict[int, float]


@dataclass(frozen=True, slots=True)
class StoredStudy:
    """A study as it is stored: its attributes, Optuna's names of its directions, and its trials as they came to it."""

    attributes: dict[str, Any]
    directions: list[str]
    trials: list[StoredTrial]


def read_study(query: Query, name: str) -> StoredStudy:
    """A study of a database. Raises ValueError where there is none of that name, KeyError where several are."""
    names = {name: study for name, study in query("SELECT study_name, study_id FROM studies", {})}
    if name not in names:
        if len(names) != 1:
            raise KeyError(name)
        raise ValueError(another_name(*names))
    study = {"study": names[name]}
    attributes = query("SELECT key, value_json FROM study_user_attributes WHERE study_id = :study", study)
    directions = query("SELECT direction FROM study_directions WHERE study_id = :study ORDER BY objective", study)
    return StoredStudy(
        {key: json.loads(value) for key, value in attributes},
        [direction for (direction,) in directions],
        _trials(query, study),
    )


def another_name(found: str) -> str:
    """What is wrong with a ledger in which there is one search, and another than the one that was named."""
    return f"it is that of search {found!r}, and its directory has been given another name: expected {found!r}"


def _trials(query: Query, study: Mapping[str, object]) -> list[StoredTrial]:
    def rows_by_trial(table: str, key: str, columns: str) -> dict[int, list[Sequence[Any]]]:
        """The rows of a table that belong to the trials of the study, in the order in which they came to it."""
        rows = query(
            f"SELECT {table}.trial_id, {columns} FROM {table} JOIN trials ON trials.trial_id = {table}.trial_id "
            f"WHERE trials.study_id = :study ORDER BY {table}.{key}",
            study,
        )
        found: dict[int, list[Sequence[Any]]] = {}
        for trial, *values in rows:
            found.setdefault(trial, []).append(values)
        return found

    parameters = rows_by_trial("trial_params", "param_id", "param_name, param_value, distribution_json")
    values = rows_by_trial("trial_values", "trial_value_id", "objective, value, value_type")
    attributes = rows_by_trial("trial_user_attributes", "trial_user_attribute_id", "key, value_json")
    notes = rows_by_trial("trial_system_attributes", "trial_system_attribute_id", "key, value_json")
    reports = rows_by_trial(
        "trial_intermediate_values",
        "trial_intermediate_value_id",
        "step, intermediate_value, intermediate_value_type",
    )
    # A space offers the same in all its trials.
    offers = {text: _offered(text) for text in {text for rows in parameters.values() for _, _, text in rows}}
    trials = query("SELECT trial_id, number, state FROM trials WHERE study_id = :study ORDER BY trial_id", study)
    return [
        StoredTrial(
            key=trial,
            number=number,
            state=state,
            choices={name: _chosen(offers[text], value) for name, value, text in parameters.get(trial, [])},
            offers={name: offers[text] for name, _, text in parameters.get(trial, [])},
            values=_values(values.get(trial, [])),
            attributes={key: json.loads(text) for key, text in attributes.get(trial, [])},
            notes={key: json.loads(text) for key, text in notes.get(trial, [])},
            reports={step: _number(value, kind) for step, value, kind in reports.get(trial, [])},
        )
        for trial, number, state in trials
    ]


def _offered(distribution: str) -> list[Any] | None:
    """The values that a distribution, as Optuna writes it, offers; None where it is of numbers within a range."""
    found = json.loads(distribution)
    return list(found["attributes"]["choices"]) if found["name"] == "CategoricalDistribution" else None


def _chosen(offered: list[Any] | None, value: float) -> Any:
    """A value as Optuna stores it: where it was chosen from a list, its place there."""
    return value if offered is None else offered[int(value)]


def _values(rows: Sequence[Sequence[Any]]) -> list[float] | None:
    found = {objective: _number(value, kind) for objective, value, kind in rows}
    return [found[objective] for objective in range(len(rows))] or None


def _number(value: float, kind: str) -> float:
    return value if kind == "FINITE" else _NOT_FINITE[kind]
