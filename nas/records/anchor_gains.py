"""What a front offers over the anchors, and how sure that is of so many validation images. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from nas.records.objectives import CostName
from nas.records.trial import TrialRecord
from trainers.intervals import margin_of_difference

# A cost that is higher by this share at most is nearly equal.
NEARLY_EQUAL = 0.1


@dataclass(frozen=True, slots=True)
class Comparison:
    """A member of the front beside an anchor.

    `points` is by how much it is more accurate, 0 to 1, with `margin` to either side, None where the number of
    validation images is not known. `saved` is the share of the anchor's cost that it does without, negative where it
    costs more.
    """

    number: int
    points: float
    margin: float | None
    saved: float

    @property
    def is_told_apart(self) -> bool:
        """Whether the accuracies differ by more than the margin."""
        return self.margin is not None and abs(self.points) > self.margin


@dataclass(frozen=True, slots=True)
class AnchorGain:
    """What the front offers over one anchor in accuracy and one cost.

    `most_accurate` is the best member of at most the anchor's cost, `cheapest` the cheapest of at least its accuracy;
    either may be the anchor. `saved_range` is the share of cost that is saved by the cheapest member that is surely as
    accurate, and by the cheapest that may be. `slightly_dearer` is the best of those that are more accurate than
    `most_accurate` and cost a tenth more than the anchor at most, `perhaps_as_accurate` the cheapest that the
    validation images cannot tell from the anchor, where it is cheaper than `cheapest`.
    """

    label: str
    val_accuracy: float
    cost_name: CostName
    cost: float
    most_accurate: Comparison
    cheapest: Comparison
    saved_range: tuple[float, float] | None
    slightly_dearer: Comparison | None
    perhaps_as_accurate: Comparison | None

    @property
    def accuracy_gained(self) -> float:
        return self.most_accurate.points

    @property
    def cost_saved(self) -> float:
        return self.cheapest.saved


def anchor_gain(
    anchor: TrialRecord, front: Sequence[TrialRecord], cost_name: CostName, validation_images: int | None
) -> AnchorGain:
    """What the front offers over an anchor that was trained to the end: some member is as good."""
    accuracy, cost = anchor.point[0], anchor.cost_in(cost_name)

    def beside(record: TrialRecord) -> Comparison:
        points = record.point[0] - accuracy
        margin = (
            None if validation_images is None else margin_of_difference(record.point[0], accuracy, validation_images)
        )
        return Comparison(record.number, points, margin, 1 - record.cost_in(cost_name) / cost)

    members = [beside(record) for record in sorted(front, key=lambda record: record.cost_in(cost_name))]
    most_accurate = max((member for member in members if member.saved >= 0), key=lambda member: member.points)
    cheapest = next(member for member in members if member.points >= 0)
    # Where there are several costs, a dearer member may be on the front for another of them.
    dearer = [
        member for member in members if -NEARLY_EQUAL <= member.saved < 0 and member.points > most_accurate.points
    ]
    slightly_dearer = max(dearer, key=lambda member: member.points, default=None)
    saved_range, perhaps = None, None
    if validation_images is not None:
        sure = next((member for member in members if member.points > 0 and member.is_told_apart), None)
        perhaps = next(member for member in members if member.points >= 0 or not member.is_told_apart)
        saved_range = (max(0.0, sure.saved) if sure else 0.0, max(0.0, perhaps.saved))
    return AnchorGain(
        label=anchor.architecture.label,
        val_accuracy=accuracy,
        cost_name=cost_name,
        cost=cost,
        most_accurate=most_accurate,
        cheapest=cheapest,
        saved_range=saved_range,
        slightly_dearer=slightly_dearer,
        perhaps_as_accurate=perhaps if perhaps is not None and perhaps.saved > cheapest.saved else None,
    )
