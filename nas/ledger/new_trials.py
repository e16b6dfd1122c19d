"""A trial as Optuna takes it, written whole, in one transaction: what was chosen, from what, and its attributes."""

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.ledger.checksums import with_checksum
from nas.ledger.trial_codec import choices_digest, end_of, epoch_key, owner_of, state_name
from nas.records.trial import Outcome, TrialRecord
from search_spaces.space import Space, Value


def state_of(outcome: Outcome) -> TrialState:
    """Optuna's state of a trial with this outcome."""
    return TrialState[state_name(outcome)]


def new_trial(record: TrialRecord, space: Space, system_attributes: Mapping[str, Any]) -> FrozenTrial:
    """The trial of `record`, offered the choices of `space`: one to be trained, or one that never will be."""
    trial = _with_choices(record, space, state_of(record.outcome), None)
    attributes = {"proposal": _proposal(record, trial)} | ({} if record.trained else {"end": end_of(record)})
    trial.user_attrs = {key: _attribute(record, key, value) for key, value in attributes.items()}
    trial.system_attrs = dict(system_attributes)
    return trial


def imported_trial(record: TrialRecord, space: Space) -> FrozenTrial:
    """The trial of `record`, a finished one that another search has trained, of an architecture that `space` holds."""
    assert record.outcome == "finished" and record.imported_from is not None, record
    trial = _with_choices(record, space, TrialState.COMPLETE, list(record.point))
    trial.intermediate_values = {result.epoch: result.val_accuracy for result in record.epochs}
    attributes = {
        "proposal": _proposal(record, trial),
        **{epoch_key(result.epoch): result.to_json() for result in record.epochs},
        "end": end_of(record),
    }
    trial.user_attrs = {key: _attribute(record, key, value) for key, value in attributes.items()}
    return trial


def _with_choices(record: TrialRecord, space: Space, state: TrialState, values: list[float] | None) -> FrozenTrial:
    chosen = space.choices_of(record.architecture)
    offers: dict[str, BaseDistribution] = {}

    def pick(name: str, values: Sequence[Value]) -> Value:
        offers[name] = CategoricalDistribution(list(values))
        return chosen[name]

    space.decide(pick)
    return create_trial(state=state, values=values, params=dict(chosen), distributions=offers)


def _proposal(record: TrialRecord, trial: FrozenTrial) -> dict[str, Any]:
    proposal = {
        "architecture": record.architecture.to_json(),
        "flops": record.flops,
        "params": record.params,
        "seed": record.seed,
        "anchor": record.anchor,
        "replicate": record.replicate,
        "started_at": record.started_at,
        "stretch_start": record.stretch_start,
        "choices": choices_digest(trial.params, _offered(trial)),
    }
    if record.imported_from is not None:
        proposal["imported_from"] = record.imported_from
    if record.inheritance is not None:
        proposal["inheritance"] = record.inheritance.to_json()
    return proposal


def _offered(trial: FrozenTrial) -> dict[str, Sequence[Any]]:
    offers = trial.distributions.items()
    return {name: offer.choices for name, offer in offers if isinstance(offer, CategoricalDistribution)}


def _attribute(record: TrialRecord, key: str, value: Any) -> dict[str, Any]:
    return with_checksum(owner_of(record.number), key, value)
