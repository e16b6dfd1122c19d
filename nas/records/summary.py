"""What a search came to, as plain data: for `summary.json`, the terminal, the report and MLflow."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nas.records.anchor_gains import AnchorGain, anchor_gain
from nas.records.failures import failure_reasons
from nas.records.front import best_of, cheapest_within, finished, front_hypervolume, front_of
from nas.records.front_probability import Result, front_probabilities
from nas.records.objectives import CostName
from nas.records.pareto import Point
from nas.records.trial import Outcome, TrialRecord, architectures_started, counts

SUMMARY_FORMAT = "summary/1"


@dataclass(frozen=True, slots=True)
class Summary:
    """The state of a search. `hypervolume` is a share of the box between `reference` and accuracy 1 at no cost.

    `cost_names` are the costs that the search weighs accuracy against; `anchor_gains` has each anchor's in each.

    `front_probabilities`: how likely each member is really on the front, where architectures were trained repeatedly.
    `architectures_trained` are this search's own; `results_imported` counts those that it took over from another, which
    the other numbers include. `only_inherited` of the architectures were looked at with inherited weights and not
    trained from scratch. `failure_reasons` counts the trials that could not be trained by what kept them from it.
    """

    front: tuple[TrialRecord, ...]
    counts: dict[Outcome, int]
    architectures_trained: int
    only_inherited: int
    epochs_trained: int
    reference: Point
    hypervolume: float
    anchors_hypervolume: float
    anchor_gains: tuple[AnchorGain, ...]
    accelerator_hours: float
    front_probabilities: tuple[float, ...] | None = None
    results_imported: int = 0
    cost_names: tuple[CostName, ...] = ("flops",)
    validation_images: int | None = None
    failure_reasons: dict[str, int] = field(default_factory=dict)

    @property
    def best(self) -> TrialRecord | None:
        """The most accurate member of the front."""
        return best_of(self.front) if self.front else None

    @property
    def cheapest_near_best(self) -> TrialRecord | None:
        """The cheapest member of the front within one point of its best accuracy."""
        return cheapest_within(self.front, 0.01) if self.front else None

    @property
    def gains_by_anchor(self) -> list[tuple[AnchorGain, ...]]:
        """What the front gains over each anchor, one for each of the costs."""
        costs = len(self.cost_names)
        return [self.anchor_gains[start : start + costs] for start in range(0, len(self.anchor_gains), costs)]

    def to_json(self) -> dict[str, Any]:
        return {
            "format": SUMMARY_FORMAT,
            "front": [record.to_json() for record in self.front],
            "front_probabilities": None if self.front_probabilities is None else list(self.front_probabilities),
            "counts": dict(self.counts),
            "failure_reasons": dict(self.failure_reasons),
            "architectures_trained": self.architectures_trained,
            "only_inherited": self.only_inherited,
            "results_imported": self.results_imported,
            "epochs_trained": self.epochs_trained,
            "reference": dict(zip(("val_accuracy", *self.cost_names), self.reference, strict=True)),
            "hypervolume": self.hypervolume,
            "anchors_hypervolume": self.anchors_hypervolume,
            "anchors": self._anchors(),
            "accelerator_hours": self.accelerator_hours,
        }

    def _anchors(self) -> list[dict[str, Any]]:
        """What the front gains over each anchor. Where there are several costs, accuracy is gained at each of them."""
        anchors = []
        for gains in self.gains_by_anchor:
            anchor: dict[str, Any] = {"label": gains[0].label, "val_accuracy": gains[0].val_accuracy}
            for gain in gains:
                name = gain.cost_name
                at = "" if gain is gains[0] else f"_at_{name}"
                anchor |= {
                    name: gain.cost,
                    f"{name}_saved": gain.cost_saved,
                    f"{name}_saved_range": gain.saved_range,
                    f"{name}_saved_by": gain.cheapest.number,
                    f"accuracy_gained{at}": gain.accuracy_gained,
                    f"accuracy_gained{at}_margin": gain.most_accurate.margin,
                    f"accuracy_gained{at}_by": gain.most_accurate.number,
                }
            anchors.append(anchor)
        return anchors


def summarise(
    records: Sequence[TrialRecord],
    reference: Point,
    cost_names: tuple[CostName, ...] = ("flops",),
    validation_images: int | None = None,
) -> Summary:
    """The summary of a search's trials. `reference` is the least accuracy and the most of each cost that count.

    Of how many validation images accuracies are says how sure the gains over the anchors are.
    """
    members = front_of(records)
    anchors = [record for record in finished(records) if record.anchor]
    trained = [record for record in records if record.trained]
    imported = {record.architecture.id for record in records if record.imported_from is not None}
    looked_at = {record.architecture.id for record in trained if record.inheritance is not None and record.epochs}
    return Summary(
        front=tuple(members),
        counts=counts(records),
        architectures_trained=len({record.architecture.id for record in trained if record.epochs} - imported),
        only_inherited=len(looked_at - architectures_started(records).keys()),
        epochs_trained=sum(len(record.epochs) for record in trained),
        reference=reference,
        hypervolume=front_hypervolume(records, reference),
        anchors_hypervolume=front_hypervolume(anchors, reference),
        anchor_gains=tuple(
            anchor_gain(anchor, members, cost_name, validation_images) for anchor in anchors for cost_name in cost_names
        ),
        accelerator_hours=sum(epoch.epoch_seconds for record in trained for epoch in record.epochs) / 3600,
        front_probabilities=_front_probabilities(records, members),
        results_imported=sum(record.imported_from is not None for record in records),
        cost_names=cost_names,
        validation_images=validation_images,
        failure_reasons=failure_reasons(records),
    )


def _front_probabilities(records: Sequence[TrialRecord], front: Sequence[TrialRecord]) -> tuple[float, ...] | None:
    architectures = finished(records)
    results = [Result(record.repeats or (record.point[0],), record.point[1:]) for record in architectures]
    probabilities = front_probabilities(results)
    if probabilities is None:
        return None
    of = {record.number: value for record, value in zip(architectures, probabilities, strict=True)}
    return tuple(of[record.number] for record in front)
