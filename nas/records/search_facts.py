"""What the figures of a search have to know of it beside its trials."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas.records.objectives import DEFAULT_OBJECTIVES, CostName, cost_of
from nas.records.pareto import Point
from nas.records.reference import reference_point
from search_spaces.space_reading import space_from_mapping
from trainers.data.config import DataConfig, DataSummary
from trainers.data.datasets import check_data


@dataclass(frozen=True, slots=True)
class SearchFacts:
    """`full_epochs` is the budget of a trial that is never stopped.

    `reference` is the least accuracy and the most cost that count for the hypervolume; `cost_name` says which cost.
    """

    name: str
    data: DataSummary
    full_epochs: int
    reference: Point
    cost_name: CostName = "flops"


def facts_from_header(name: str, header: Mapping[str, Any], most_latency_ms: float | None = None) -> SearchFacts:
    """The facts of a search as its ledger's header tells them. Raises UserError where its data cannot be found.

    `most_latency_ms` is the latency up to which a result counts, where the search is on latency.

    The header holds what the data set was found to contain; one written before it did has the data looked at again.
    """
    if "data_summary" in header:
        data = DataSummary.from_json(header["data_summary"])
    else:
        data = check_data(DataConfig.from_json(header["data"]))
    search = header["search"]
    space = space_from_mapping(header["space_name"], header["space"])
    reference = reference_point(space, data, search["min_accuracy"], search["max_flops"], most_latency_ms)
    cost_name = cost_of(search.get("objectives", DEFAULT_OBJECTIVES))
    return SearchFacts(name, data, int(header["training"]["epochs"]), reference, cost_name)
