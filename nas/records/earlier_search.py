"""What another search found, as the proposals of one that is told of it know it. Never a result of that one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nas.records.trial import TrialRecord
from search_spaces.architecture import Architecture
from search_spaces.errors import UserError
from search_spaces.json_fields import read_object

Results = tuple[tuple[Architecture, float], ...]


@dataclass(frozen=True, slots=True)
class EarlierSearch:
    """The architectures that search `name` trained to the end, with their validation accuracy, in [0, 1].

    One that was trained several times stands there as often. `resolution` is the least error that its validation images
    tell from none.
    """

    name: str
    search_id: str
    resolution: float
    results: Results

    def to_json(self) -> dict[str, Any]:
        results = [[architecture.to_json(), accuracy] for architecture, accuracy in self.results]
        return {
            "name": self.name,
            "search_id": self.search_id,
            "resolution": self.resolution,
            "results": results,
        }

    @classmethod
    def from_json(cls, data: object) -> "EarlierSearch":
        """The search that `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        fields = read_object(data, "earlier search", ["name", "search_id", "resolution", "results"])
        results = fields["results"]
        if not isinstance(results, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in results):
            raise UserError("earlier search results: expected a list of architectures, each with its accuracy.")
        pairs = tuple((Architecture.from_json(architecture), float(accuracy)) for architecture, accuracy in results)
        return cls(str(fields["name"]), str(fields["search_id"]), float(fields["resolution"]), pairs)


def final_results(records: Sequence[TrialRecord]) -> Results:
    """The architectures of the trials that were trained to the end, with their accuracies."""
    finished = (record for record in records if record.outcome == "finished")
    return tuple((record.architecture, record.epochs[-1].val_accuracy) for record in finished)
