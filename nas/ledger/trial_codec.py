"""A trial as the ledger's database holds it: written whole, in one transaction, and read back into a record.

What is read is held against the checksums that were written with it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.ledger.checksums import ChecksumMismatch, checked, digest, with_checksum
from nas.records.objectives import CostName
from nas.records.trial import Outcome, TrialRecord
from nas.records.whereabouts import GpuUse, Mishap, Place
from search_spaces.architecture import Architecture
from search_spaces.space import Space, Value
from trainers.epoch_result import EpochResult

_STATES: dict[Outcome, TrialState] = {
    "running": TrialState.RUNNING,
    "held": TrialState.RUNNING,
    "finished": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
}


def state_of(outcome: Outcome) -> TrialState:
    """Optuna's state of a trial with this outcome."""
    return _STATES.get(outcome, TrialState.FAIL)


def owner_of(number: int) -> str:
    """The owner, to their checksums, of a trial's attributes."""
    return f"trial {number}"


def epoch_key(epoch: int) -> str:
    """The attribute that holds the result of an epoch."""
    return f"epoch_{epoch:05d}"


def epoch_of(result: EpochResult, reported_at: float, gpu: GpuUse | None) -> dict[str, Any]:
    """The attribute that holds the result of an epoch, when it was reported, and what of a GPU was in use then."""
    use = {} if gpu is None else {"gpu": gpu.to_json()}
    return result.to_json() | {"reported_at": reported_at} | use


def choices_digest(trial: FrozenTrial) -> str:
    """Stands for what a trial was chosen from, and for what was chosen."""
    offers = trial.distributions.items()
    return digest(trial.params, {name: o.choices for name, o in offers if isinstance(o, CategoricalDistribution)})


def standing_of(record: TrialRecord) -> dict[str, Any]:
    """The attribute that says how far it has been decided upon a trial that goes on or is held."""
    return {
        "held": record.outcome == "held",
        "judged": record.decided_epoch,
        "stretch_start": record.stretch_start,
        "stretch_epoch": record.stretch_epoch,
    }


def end_of(record: TrialRecord) -> dict[str, Any]:
    """The attribute that says how a trial ended."""
    return {
        "outcome": record.outcome,
        "reason": record.reason,
        "duplicate_of": record.duplicate_of,
        "finished_at": record.finished_at,
        "judged": record.decided_epoch,
    }


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
        "choices": choices_digest(trial),
    }
    return proposal if record.imported_from is None else {**proposal, "imported_from": record.imported_from}


def _attribute(record: TrialRecord, key: str, value: Any) -> dict[str, Any]:
    return with_checksum(owner_of(record.number), key, value)


def record_of(trial: FrozenTrial, cost_names: tuple[CostName, ...]) -> TrialRecord:
    """What the attributes of a trial say, of a search on these costs.

    Raises ChecksumMismatch where they, or what Optuna keeps beside them, were changed.
    """
    owner = owner_of(trial.number)
    stored = {key: checked(owner, key, value) for key, value in trial.user_attrs.items()}
    proposal = stored["proposal"]
    if proposal["choices"] != choices_digest(trial):
        raise ChecksumMismatch(f"the choices of {owner} are not what was written")
    reports = [dict(stored[key]) for key in sorted(stored) if key.startswith("epoch_")]
    # Earlier code did not write them, nor does a fork.
    moments = [(report.pop("reported_at", None), report.pop("gpu", None)) for report in reports]
    epochs = tuple(map(EpochResult.from_json, reports))
    reported_at, gpu = moments[-1] if moments else (None, None)
    place, mishap = stored.get("place"), stored.get("mishap")
    if [result.epoch for result in epochs] != list(range(1, len(epochs) + 1)):
        raise ChecksumMismatch(f"{owner} lacks an epoch")
    accuracies = {result.epoch: result.val_accuracy for result in epochs}
    # Earlier code did not write them.
    if not trial.intermediate_values.items() <= accuracies.items():
        raise ChecksumMismatch(f"the intermediate values of {owner} are not what was written")
    standing = stored.get("standing", {"held": False, "judged": 0, "stretch_epoch": 0})
    unfinished: Outcome = "held" if standing["held"] else "running"
    # Until Optuna has closed a trial, it has not ended.
    end = stored["end"] if trial.state.is_finished() else {}
    record = TrialRecord(
        number=trial.number,
        architecture=Architecture.from_json(proposal["architecture"]),
        flops=proposal["flops"],
        params=proposal["params"],
        seed=proposal["seed"],
        outcome=end.get("outcome", unfinished),
        epochs=epochs,
        anchor=proposal["anchor"],
        replicate=proposal["replicate"],
        reason=end.get("reason"),
        duplicate_of=end.get("duplicate_of"),
        deaths=stored.get("deaths", 0),
        cost_names=cost_names,
        latency_ms=stored.get("latency_ms"),
        started_at=proposal["started_at"],
        finished_at=end.get("finished_at"),
        imported_from=proposal.get("imported_from"),
        decided_epoch=end.get("judged", standing["judged"]),
        stretch_start=standing.get("stretch_start", proposal["stretch_start"]),
        stretch_epoch=standing["stretch_epoch"],
        place=None if place is None else Place.from_json(place),
        reported_at=reported_at,
        gpu=None if gpu is None else GpuUse.from_json(gpu),
        mishap=None if mishap is None else Mishap.from_json(mishap),
    )
    values = list(record.point) if record.outcome == "finished" else None
    if trial.state != state_of(record.outcome) or trial.values != values:
        raise ChecksumMismatch(f"the state of {owner} is not what was written")
    return record
