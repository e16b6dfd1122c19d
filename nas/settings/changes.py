"""What differs between the settings of two searches, and what a search that goes on may change. Pure, on plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nas.settings.command import Command
from nas.settings.header import SearchHeader
from search_spaces.errors import UserError
from search_spaces.operator_choices import OperatorChoices
from search_spaces.space import STAGE_KEYS, Space
from trainers.data.config import DataSummary

# What a search may change when it goes on: its limits, and what changes nothing in a result.
FREE_KEYS = (
    "search.trials",
    "search.epochs",
    "search.time_budget",
    "search.stagnation",
    "search.max_flops",
    "search.max_params",
    "search.replicates",
    "search.confirm_front",
    "search.hung_after",
    "search.checkpoint_minutes",
    "search.keep_checkpoints",
    "data.root",
    "data.loader_workers",
    "data.cache",
)
# With other objectives, as with other data or training, a result is another quantity.
OBJECTIVES = "search.objectives"


@dataclass(frozen=True, slots=True)
class Change:
    """One setting, as `space.depth`, with its value before and after."""

    key: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.key}: {_text(self.before)} -> {_text(self.after)}"


def changes(section: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """The settings of a section that differ and that a search may not change when it goes on."""
    found = (Change(f"{section}.{key}", before[key], after[key]) for key in after)
    return [change for change in found if change.before != change.after and change.key not in FREE_KEYS]


def space_changes(before: Space, after: Space) -> list[Change]:
    """The choices in which two spaces differ; one that changes alike in all stages is that of `space.stages`."""
    old, new = before.to_json(), after.to_json()
    found = [Change(f"space.{key}", old[key], new[key]) for key in ("granularity", "stem", "depth", "width")]
    for choice in OperatorChoices.__dataclass_fields__:
        stages = [Change(f"space.{stage}.{choice}", old[stage][choice], new[stage][choice]) for stage in STAGE_KEYS]
        alike = all((stage.before, stage.after) == (stages[0].before, stages[0].after) for stage in stages)
        found += [Change(f"space.stages.{choice}", stages[0].before, stages[0].after)] if alike else stages
    return [change for change in found if change.before != change.after]


def shared_stages(space: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping of a space, its stages written out, with what most stages share moved to `stages`.

    So that `space.stages.KEY=…` on top of it changes the stages that had no values of their own.
    """
    mapping = {key: value for key, value in space.items() if key not in STAGE_KEYS}
    mapping["stages"] = {}
    for choice in OperatorChoices.__dataclass_fields__:
        lists = [space[stage][choice] for stage in STAGE_KEYS]
        # A stage of convolutions alone has no values of attention, which are none of its own.
        common = max(lists, key=lambda values: (bool(values), lists.count(values)))
        mapping["stages"][choice] = common
        for stage, values in zip(STAGE_KEYS, lists, strict=True):
            mapping.setdefault(stage, {})[choice] = None if values in (common, []) else values
    return mapping


def check_resumable(name: str, before: SearchHeader, after: Command) -> None:
    """Raises UserError, showing each difference, where a search would not go on as it was."""
    check_comparable(name, before, after)
    found = [
        *space_changes(before.space, after.space),
        *changes("search", before.search.to_json(), after.search.to_json()),
    ]
    if found:
        instead = f"`--resume {name} --fork NEW` starts a new search like this from its results."
        if before.search.on_latency:
            instead = "Start a new search, by --space."  # Latencies are not taken over.
        raise UserError(f"search {name!r} goes on as it was started: {_list(found)}. {instead}")


def check_comparable(name: str, before: SearchHeader, after: Command) -> None:
    """Raises UserError, showing each difference, where the accuracies of a search would mean something else."""
    found = changes("data", asdict(before.data), asdict(after.data))
    found += changes("training", asdict(before.training), asdict(after.training))
    search = changes("search", before.search.to_json(), after.search.to_json())
    found += [change for change in search if change.key == OBJECTIVES]
    if found:
        raise _not_comparable(name, found)


def check_forkable(name: str, before: SearchHeader, after: Command) -> None:
    """Raises UserError where a new search cannot begin with the results of this one."""
    check_comparable(name, before, after)
    # A latency holds beside the reference of the search that measured it, and nowhere else.
    if before.search.on_latency:
        raise UserError(
            f"search {name!r} cannot be forked: latencies are not taken over. Start a new search, by --space."
        )


def check_same_images(
    name: str, before: DataSummary, after: DataSummary, differences: Sequence[str], undone_by: str
) -> None:
    """Raises UserError where the data set of a search holds something else by now, or has these `differences`."""
    found = [*map(str, changes("data", asdict(before), asdict(after))), *differences]
    if found:
        raise UserError(
            f"search {name!r} measured its accuracies on other images: {'; '.join(found)}. "
            f"Results of the two cannot be compared: {undone_by}, or start a new search, by --space."
        )


def _not_comparable(name: str, found: Sequence[Change]) -> UserError:
    return UserError(
        f"search {name!r} measured its accuracies otherwise: {_list(found)}. "
        "Results of the two cannot be compared: start a new search, by --space."
    )


def _list(found: Sequence[Change]) -> str:
    return "; ".join(map(str, found))


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    return "null" if value is None else str(value)
