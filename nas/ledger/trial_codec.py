"""The attributes by which the ledger's database holds a trial, and how they are read back into a record.

What is read is held against the checksums that were written with it.
"""

from collections.abc import Mapping
from typing import Any

from nas.ledger.checksums import ChecksumMismatch, checked, digest
from nas.ledger.stored_trials import StoredTrial
from nas.records.inheritance import Inheritance
from nas.records.objectives import CostName
from nas.records.trial import Outcome, TrialRecord
from nas.records.whereabouts import GpuUse, Mishap, Place
from search_spaces.architecture import Architecture
from trainers.epoch_result import EpochResult

_STATES: dict[Outcome, str] = {
    "running": "RUNNING",
    "held": "RUNNING",
    "finished": "COMPLETE",
    "stopped": "PRUNED",
    "inherited": "PRUNED",
}
_ENDED = ("COMPLETE", "PRUNED", "FAIL")


def state_name(outcome: Outcome) -> str:
    """The name of Optuna's state of a trial with this outcome."""
    return _STATES.get(outcome, "FAIL")


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


def choices_digest(choices: Mapping[str, Any], offers: Mapping[str, Any]) -> str:
    """Stands for what was chosen of a trial, and for the values that each was chosen from, None where from no list."""
    return digest(choices, {name: values for name, values in offers.items() if values is not None})


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


def record_of(trial: StoredTrial, cost_names: tuple[CostName, ...]) -> TrialRecord:
    """What the attributes of a trial say, of a search on these costs.

    Raises ChecksumMismatch where they, or what Optuna keeps beside them, were changed.
    """
    owner = owner_of(trial.number)
    stored = {key: checked(owner, key, value) for key, value in trial.attributes.items()}
    proposal = stored["proposal"]
    if proposal["choices"] != choices_digest(trial.choices, trial.offers):
        raise ChecksumMismatch(f"the choices of {owner} are not what was written")
    reports = [dict(stored[key]) for key in sorted(stored) if key.startswith("epoch_")]
    # Earlier code did not write them, nor does a fork.
    moments = [(report.pop("reported_at", None), report.pop("gpu", None)) for report in reports]
    epochs = tuple(map(EpochResult.from_json, reports))
    reported_at, gpu = moments[-1] if moments else (None, None)
    place, mishap, inheritance = stored.get("place"), stored.get("mishap"), proposal.get("inheritance")
    if [result.epoch for result in epochs] != list(range(1, len(epochs) + 1)):
        raise ChecksumMismatch(f"{owner} lacks an epoch")
    accuracies = {result.epoch: result.val_accuracy for result in epochs}
    # Earlier code did not write them.
    if not trial.reports.items() <= accuracies.items():
        raise ChecksumMismatch(f"the intermediate values of {owner} are not what was written")
    standing = stored.get("standing", {"held": False, "judged": 0, "stretch_epoch": 0})
    unfinished: Outcome = "held" if standing["held"] else "running"
    # Until Optuna has closed a trial, it has not ended.
    end = stored["end"] if trial.state in _ENDED else {}
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
        inheritance=None if inheritance is None else Inheritance.from_json(inheritance),
        decided_epoch=end.get("judged", standing["judged"]),
        stretch_start=standing.get("stretch_start", proposal["stretch_start"]),
        stretch_epoch=standing["stretch_epoch"],
        place=None if place is None else Place.from_json(place),
        reported_at=reported_at,
        gpu=None if gpu is None else GpuUse.from_json(gpu),
        mishap=None if mishap is None else Mishap.from_json(mishap),
    )
    values = list(record.point) if record.outcome == "finished" else None
    if trial.state != state_name(record.outcome) or trial.values != values:
        raise ChecksumMismatch(f"the state of {owner} is not what was written")
    return record
