"""What has ended a search, as its last screen says it, and the flags with which it goes on. Pure."""

from dataclasses import dataclass

from nas.driver.commands import limit_flags
from nas.engine.dispatcher import Limit
from nas.settings.search_settings import SearchSettings


@dataclass(frozen=True, slots=True)
class Ending:
    """What a search was ended by, and the flags with which a command goes on with it, or further; None: none can."""

    cause: str
    further: tuple[str, ...] | None


def by_signal(name: str) -> Ending:
    """That of a search which its user has ended, or whoever has the machine."""
    return Ending(name, ())


def by_time(budget: str, *, has_trained: bool) -> Ending:
    """That of a search whose time is over; `has_trained`: an epoch at least.

    With the same budget, one that trained none might never come further.
    """
    cause = f"its time budget of {budget}, which counts anew with each --resume"
    if not has_trained:
        cause += ", and was too short for an epoch of any trial"
    return Ending(cause, tuple(limit_flags({"time_budget": budget if has_trained else None})))


def by_limit(limit: Limit | None, settings: SearchSettings) -> Ending:
    """That of a search which has come to one of its limits; None is the space, in which nothing new was found."""
    match limit:
        case "trials":
            return Ending(f"--trials {settings.trials}", tuple(limit_flags({"trials": 2 * settings.trials})))
        case "epochs" if settings.epochs is not None:
            cause = f"--epochs {settings.epochs}, of which too few are left for another architecture"
            return Ending(cause, tuple(limit_flags({"epochs": 2 * settings.epochs})))
        case "stagnation":
            return Ending(f"search.stagnation={settings.stagnation}", ("search.stagnation=null",))
    return Ending("its space, which has nothing new within the limits", None)
