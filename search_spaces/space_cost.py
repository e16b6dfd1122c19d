"""What the architectures of a space cost: the fewest and the most FLOPs, exact, without counting every architecture.

FLOPs add up over the slots of a frame, so each slot is looked at on its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from search_spaces.architecture import Architecture, Operator
from search_spaces.cost import cost
from search_spaces.space import Frame, Space


@dataclass(frozen=True, slots=True)
class _FrameCost:
    """A frame, the operators that each of its slots may take, and the FLOPs that each adds to those of the first ones.

    `first_flops` are the FLOPs of the architecture with the first operator in every slot.
    """

    frame: Frame
    operators: list[tuple[Operator, ...]]
    first_flops: int
    added_flops: list[list[int]]

    @property
    def fewest(self) -> int:
        return self.first_flops + sum(map(min, self.added_flops))

    @property
    def most(self) -> int:
        return self.first_flops + sum(map(max, self.added_flops))


def flops_range(space: Space, *, image_size: int, in_channels: int, classes: int) -> tuple[int, int]:
    """The fewest and the most FLOPs of any architecture of the space."""
    costs = list(_frame_costs(space, image_size, in_channels, classes))
    return min(each.fewest for each in costs), max(each.most for each in costs)


def cheapest_architecture(space: Space, *, image_size: int, in_channels: int, classes: int) -> Architecture:
    """An architecture of the fewest FLOPs."""
    found = min(_frame_costs(space, image_size, in_channels, classes), key=lambda each: each.fewest)
    slots = zip(found.operators, found.added_flops, strict=True)
    return space.architecture(found.frame, [operators[added.index(min(added))] for operators, added in slots])


def _frame_costs(space: Space, image_size: int, in_channels: int, classes: int) -> Iterator[_FrameCost]:
    for frame in space.frames():

        def flops(chosen: Sequence[Operator], frame: Frame = frame) -> int:
            architecture = space.architecture(frame, chosen)
            return cost(architecture, image_size=image_size, in_channels=in_channels, classes=classes).flops

        options = [space.stages[slot.stage].operators(slot.channels) for slot in space.slots(frame)]
        first = [operators[0] for operators in options]
        first_flops = flops(first)
        added = [
            [flops([*first[:index], other, *first[index + 1 :]]) - first_flops for other in operators]
            for index, operators in enumerate(options)
        ]
        yield _FrameCost(frame, options, first_flops, added)
