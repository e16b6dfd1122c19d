"""A fork: a new search that begins with the finished results of another, on the same data by the same training."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nas.ledger.ledger import Ledger
from nas.records.cost_limits import CostLimits
from nas.records.front import front_of
from nas.records.trial import TrialRecord
from nas.settings.header import ForkOrigin
from nas.settings.run_directory import RunDirectory
from nas.settings.search_settings import SearchSettings
from search_spaces.errors import UserError
from search_spaces.space import Space
from search_spaces.units import counted


@dataclass(frozen=True, slots=True)
class TakenOver:
    """What a fork begins with: `pairs` of a finished trial and what it becomes; `left_out` counts those left behind."""

    pairs: tuple[tuple[TrialRecord, TrialRecord], ...]
    left_out: int

    @property
    def results(self) -> tuple[TrialRecord, ...]:
        return tuple(result for _, result in self.pairs)

    def text(self, name: str) -> str:
        """How much of search `name` that is, in words."""
        left_out = f"; {self.left_out} left out, which the space or a limit rules out" if self.left_out else ""
        return f"{counted(len(self.pairs), 'result')} of {name} taken over{left_out}"


def taken_over(records: Sequence[TrialRecord], name: str, space: Space, limits: CostLimits) -> TakenOver:
    """The finished trials of search `name` that a fork on `space` takes over, numbered anew from 0.

    Left out is what the space does not hold or the limits do not allow.
    """
    finished = [record for record in records if record.outcome == "finished"]
    fit = [
        record for record in finished if limits.allow(record.flops, record.params) and space.holds(record.architecture)
    ]
    anchors = space.anchors()
    results = (
        replace(
            record,
            number=number,
            anchor=record.architecture in anchors,
            reason=None,
            deaths=0,
            decided_epoch=len(record.epochs),
            stretch_start=0,
            stretch_epoch=0,
            imported_from=record.imported_from or f"{name}/{record.number}",
        )
        for number, record in enumerate(fit)
    )
    return TakenOver(tuple(zip(fit, results, strict=True)), len(finished) - len(fit))


def copy_weights(taken: TakenOver, source: RunDirectory, target: RunDirectory, keep_checkpoints: str) -> None:
    """Copies the weights of what was taken over from one search to another, those that the other is to keep."""
    on_front = {record.number for record in front_of(taken.results)}
    for before, after in taken.pairs:
        kept = keep_checkpoints == "all" or (keep_checkpoints == "front" and after.number in on_front)
        if kept:
            checkpoints, copies = source.checkpoints(before.number), target.checkpoints(after.number)
            for name in checkpoints.names():
                copies.write(name, checkpoints.read(name))


def origin(name: str, source: Ledger, taken: TakenOver) -> ForkOrigin:
    """What the header of a fork says of the search `name` whose results it has taken over."""
    return ForkOrigin(name, source.search_id, source.header.code_revision, len(taken.pairs))


def check_whole(ledger: Ledger) -> None:
    """Raises UserError where a fork was cut off before it had taken over all that its header counts.

    That can only be in a server's database: a ledger in a file is whole before it has its name.
    """
    forked_from = ledger.header.forked_from
    if forked_from is None:
        return
    found = sum(record.imported_from is not None for record in ledger.records)
    if found != forked_from.results:
        raise UserError(
            f"the fork was cut off when it had {found} of {forked_from.results} results of "
            f"{forked_from.name!r}: fork that search again, under another name."
        )


def beyond_imports(search: SearchSettings, records: Sequence[TrialRecord]) -> SearchSettings:
    """The settings with limits on architectures and epochs that leave out what was taken over, as it is no cost."""
    imported = [record for record in records if record.imported_from is not None]
    architectures = len({record.architecture.id for record in imported})
    epochs = sum(len(record.epochs) for record in imported)
    return replace(
        search, trials=search.trials + architectures, epochs=None if search.epochs is None else search.epochs + epochs
    )
