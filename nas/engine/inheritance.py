"""Which trained network a new one begins with, where it is looked at before it is trained from scratch. Pure."""

from collections.abc import Collection, Mapping, Sequence

from nas.records.trial import TrialRecord
from search_spaces.architecture import Architecture
from search_spaces.inheritance import alike_share

# Of whatever shares less than this of its parameters with every trained network nothing is inherited.
LEAST_SHARE = 0.5


def parent_of(
    architecture: Architecture,
    records: Sequence[TrialRecord],
    params: Mapping[str, int],
    without_weights: Collection[int],
) -> int | None:
    """The trial whose network shares most with `architecture`, the first of several; None where none shares enough.

    Only what was trained to the end, from scratch, is inherited from, and whose weights nobody has missed. `params` are
    the parameters of `architecture` by part, `without_weights` the trials whose checkpoints are gone.
    """
    best, most = None, 0.0
    inherited = [record for record in records if record.outcome == "inherited" and record.inherited_accuracy is None]
    missed = {record.inheritance.parent for record in inherited if record.inheritance is not None}
    for record in records:
        if record.outcome != "finished" or record.number in without_weights or record.number in missed:
            continue
        share = alike_share(architecture, record.architecture, params)
        if share >= LEAST_SHARE and share > most:
            best, most = record.number, share
    return best
