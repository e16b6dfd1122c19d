"""The engine of a search, ready to assign."""

from collections.abc import Collection

from nas.engine.deterministic import DeterministicEngine
from nas.engine.engine import Engine
from nas.engine.policy import AccuracyRule
from nas.ledger.ledger import Ledger
from nas.settings.search_settings import SearchSettings
from search_spaces.space import Space
from trainers.data.config import DataSummary


def start_engine(
    ledger: Ledger,
    space: Space,
    data: DataSummary,
    settings: SearchSettings,
    epochs: int,
    accuracy_rule: AccuracyRule | None = None,
    without_weights: Collection[int] = (),
) -> Engine:
    """The engine that the settings ask for, which has taken up what the ledger holds.

    `epochs` is the full budget of a trial; `accuracy_rule` decides on the trials where the scheduler is "asha";
    `without_weights` are those whose checkpoints are gone. A deterministic search decides as on the number of workers
    that it began with.
    """
    engine = (
        DeterministicEngine(
            ledger, space, data, settings, epochs, accuracy_rule, without_weights, slots=ledger.header.slots
        )
        if settings.deterministic
        else Engine(ledger, space, data, settings, epochs, accuracy_rule, without_weights)
    )
    engine.take_up()
    return engine
