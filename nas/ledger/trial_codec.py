"""A trial as the ledger's database holds it, read back into a record and held against what was sealed."""

from typing import Any

from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from nas.ledger.checksums import BrokenSeal, digest, unseal
from nas.records.objectives import CostName
from nas.records.trial import Outcome, TrialRecord
from search_spaces.architecture import Architecture
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
    """To whom the attributes of a trial are sealed."""
    return f"trial {number}"


def epoch_key(epoch: int) -> str:
    """The attribute that holds the result of an epoch."""
    return f"epoch_{epoch:05d}"


def choices_digest(trial: FrozenTrial) -> str:
    """Stands for what a trial was chosen from, and for what was chosen."""
    offers = trial.distributions.items()
    return digest(trial.params, {name: o.choices for name, o in offers if isinstance(o, CategoricalDistribution)})


def standing_of(record: TrialRecord) -> dict[str, Any]:
    """The attribute that says how far it has been decided upon a trial that goes on or is held."""
    return {
        "held": record.outcome == "held",
        "judged": record.judged,
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
        "judged": record.judged,
    }


def record_of(trial: FrozenTrial, cost_name: CostName) -> TrialRecord:
    """What the attributes of a trial say, of a search on this cost.

    Raises BrokenSeal where they, or what Optuna keeps beside them, were changed.
    """
    owner = owner_of(trial.number)
    stored = {key: unseal(owner, key, value) for key, value in trial.user_attrs.items()}
    proposal = stored["proposal"]
    if proposal["choices"] != choices_digest(trial):
        raise BrokenSeal(f"the choices of {owner} are not what was written")
    epochs = tuple(EpochResult(**stored[key]) for key in sorted(stored) if key.startswith("epoch_"))
    if [result.epoch for result in epochs] != list(range(1, len(epochs) + 1)):
        raise BrokenSeal(f"{owner} lacks an epoch")
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
        cost_name=cost_name,
        latency_ms=stored.get("latency_ms"),
        started_at=proposal["started_at"],
        finished_at=end.get("finished_at"),
        imported_from=proposal.get("imported_from"),
        judged=end.get("judged", standing["judged"]),
        stretch_start=standing.get("stretch_start", proposal["stretch_start"]),
        stretch_epoch=standing["stretch_epoch"],
    )
    values = list(record.point) if record.outcome == "finished" else None
    if trial.state != state_of(record.outcome) or trial.values != values:
        raise BrokenSeal(f"the state of {owner} is not what was written")
    return record
