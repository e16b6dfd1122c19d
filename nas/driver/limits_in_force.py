"""The limits of a search while it runs: changed for the engine, the clock and the terminal, and kept in the ledger."""

from collections.abc import Callable

from nas.driver.commands import limit_flags
from nas.driver.progress import ProgressView
from nas.driver.requests import LIMITS, Request, check_limits
from nas.driver.stop_rule import StopRule
from nas.engine.engine import Engine
from nas.ledger.forking import beyond_imports
from nas.ledger.ledger import Ledger
from nas.records.rest_of_search import SearchPlan
from nas.records.trial import architectures_begun
from nas.settings.search_settings import SearchSettings
from search_spaces.errors import UserError
from search_spaces.units import counted

_ENDING = "it is ending: what is training is checkpointed, and the results are written"


class LimitsInForce:
    """Obeys the requests to a running search (`nas.driver.requests`). `settings` are those that hold now."""

    def __init__(
        self,
        settings: SearchSettings,
        engine: Engine,
        should_stop: StopRule,
        progress: ProgressView,
        plan: Callable[[SearchSettings], SearchPlan],
        end: Callable[[], bool],
        resume: Callable[[list[str]], str],
    ) -> None:
        """`plan` says what a search of some settings is to train; `resume` is the command that goes on with this one.

        `end` has this one end in order, and says whether nothing else did so before.
        """
        self.settings = settings
        self._engine = engine
        self._should_stop = should_stop
        self._progress = progress
        self._plan = plan
        self._end = end
        self._resume = resume

    def obey(self, request: Request) -> str:
        """Does what is asked, and says what that was. Raises UserError where it cannot be."""
        if request.stop:
            return _ENDING if self._end() else f"it was asked to already; {_ENDING}"
        changed = self._changed(request)
        ledger: Ledger = self._engine.ledger
        # First the ledger: a limit that holds is there, whatever comes next.
        ledger.record_limits({name: getattr(changed, name) for name in LIMITS})
        said = [
            f"{name} {_text(getattr(self.settings, name))} -> {_text(getattr(changed, name))}"
            for name in request.limits
        ]
        self.settings = changed
        beyond = beyond_imports(changed, ledger.records)
        self._engine.limit(beyond)
        self._should_stop.limit(changed.time_budget_seconds)
        self._progress.plan_anew(self._plan(beyond))
        return "; ".join([", ".join(said), *self._reached(request)])

    def refuse(self, request: Request) -> str:
        """The same of a search that is at its end: what is left of that may be cut short, and no limit changed."""
        if request.stop:
            return self.obey(request)
        command = self._resume(limit_flags(request.limits))
        raise UserError(f"it is ending already; once it has, this goes on with it within these limits: {command}")

    def _reached(self, request: Request) -> list[str]:
        """What is said of those of the limits asked for that the search has come to already."""
        own = [record for record in self._engine.records if record.imported_from is None]
        begun, epochs = len(architectures_begun(own)), sum(len(record.epochs) for record in own)
        limits = self.settings
        reached = {
            "trials": (begun >= limits.trials, f"{counted(begun, 'architecture')} begun already: none is any more"),
            "epochs": (
                limits.epochs is not None and epochs >= limits.epochs,
                f"{counted(epochs, 'epoch')} trained already: no architecture is begun any more",
            ),
            "time_budget": (self._should_stop(), "that time is over already: it is ending"),
        }
        return [text for name, (is_reached, text) in reached.items() if is_reached and name in request.limits]

    def _changed(self, request: Request) -> SearchSettings:
        check_limits(request.limits)
        if self.settings.deterministic:
            raise UserError(
                "the search is deterministic, and would depend on the moment at which a limit changes: "
                "let it end, and go on with it by --resume."
            )
        return SearchSettings.from_json({**self.settings.to_json(), **request.limits})


def _text(value: object) -> str:
    return "none" if value is None else str(value)
