"""Ray Tune's searcher: asks the engine what to train next."""

from typing import Any

from ray.tune.search import Searcher

from nas.engine.engine import Engine
from nas.workers.trial_config import TrialTemplate


class EngineSearcher(Searcher):
    """Hands the engine's assignments to Ray Tune as trial configurations.

    The ledger is the only state, so what Ray Tune pickles of a searcher is empty.
    """

    def __init__(self, engine: Engine, template: TrialTemplate) -> None:
        super().__init__()
        self._engine: Engine | None = engine
        self._template: TrialTemplate | None = template

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """The configuration of the next trial, all of it plain JSON. None where a running one has to be waited for."""
        assert self._engine is not None and self._template is not None
        assignment = self._engine.next_assignment()
        if assignment is None:
            return Searcher.FINISHED if self._engine.idle else None
        return self._template.trial(assignment).to_json()

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: the scheduler has told the engine."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the state."""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_engine": None, "_template": None}
