"""Ray Tune's searcher: asks the engine what to train next."""

from dataclasses import dataclass
from typing import Any

from ray.tune.search import Searcher

from nas.engine.engine import Engine
from nas.settings.run_directory import RunDirectory
from trainers.data.config import DataConfig, DataSummary
from trainers.recipe import Recipe


@dataclass(frozen=True, slots=True)
class TrialTemplate:
    """What all trials of a search have in common. `device` is a torch device, `threads` those of torch on the CPU."""

    data: DataConfig
    data_summary: DataSummary
    training: Recipe
    directory: RunDirectory
    device: str
    threads: int


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
        template = self._template
        return {
            "number": assignment.number,
            "architecture": assignment.architecture.to_json(),
            "seed": assignment.seed,
            "recorded_epochs": assignment.recorded_epochs,
            "data": template.data.to_json(),
            "data_summary": template.data_summary.to_json(),
            "training": template.training.to_json(),
            "checkpoints": str(template.directory.checkpoints(assignment.number)),
            "device": template.device,
            "threads": template.threads,
            "yardstick": self._yardstick(assignment.number),
        }

    def _yardstick(self, number: int) -> dict[str, Any] | None:
        """What a trial's latency is measured beside, where it is to be."""
        assert self._engine is not None
        yardstick = self._engine.ledger.yardstick
        measured = self._engine.ledger.record(number).latency_ms is not None
        return None if yardstick is None or measured else yardstick.to_json()

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: the scheduler has told the engine."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the state."""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_engine": None, "_template": None}
