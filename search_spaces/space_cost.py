"""What the architectures of a space cost: the fewest and the most FLOPs or parameters, exact, without counting every
architecture.

Both add up over the slots of a frame, so each slot is looked at on its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from search_spaces.architecture import Architecture, Operator
from search_spaces.cost import cost
from search_spaces.space import Frame, Space

Counted = Literal["flops", "params"]


@dataclass(frozen=True, slots=True)
class _FrameCost:
    """A frame, the operators that each of its slots may take, and what each adds to the cost of the first ones.

    `first` is the cost of the architecture with the first operator in every slot.
    """

    frame: Frame
    operators: list[tuple[Operator, ...]]
    first: int
    added: list[list[int]]

    @property
    def fewest(self) -> int:
        return self.first + sum(map(min, self.added))

    @property
    def most(self) -> int:
        return self.first + sum(map(max, self.added))


def flops_range(space: Space, *, image_size: int, in_channels: int, classes: int) -> tuple[int, int]:
    """The fewest and the most FLOPs of any architecture of the space."""
    return _range(space, "flops", image_size, in_channels, classes)


def params_range(space: Space, *, image_size: int, in_channels: int, classes: int) -> tuple[int, int]:
    """The fewest and the most parameters of any architecture of the space."""
    return _range(space, "params", image_size, in_channels, classes)


def _range(space: Space, counted: Counted, image_size: int, in_channels: int, classes: int) -> tuple[int, int]:
    costs = _frame_costs(space, counted, image_size, in_channels, classes)
    return min(each.fewest for each in costs), max(each.most for each in costs)


def cheapest_architecture(
    space: Space, counted: Counted, *, image_size: int, in_channels: int, classes: int
) -> Architecture:
    """An architecture of the fewest FLOPs, or of the fewest parameters."""
    found = min(_frame_costs(space, counted, image_size, in_channels, classes), key=lambda each: each.fewest)
    slots = zip(found.operators, found.added, strict=True)
    return space.architecture(found.frame, [operators[added.index(min(added))] for operators, added in slots])


# A search asks for the range of its space, and for the cheapest architecture, wherever it begins or goes on.
@lru_cache(maxsize=8)
def _frame_costs(
    space: Space, counted: Counted, image_size: int, in_channels: int, classes: int
) -> tuple[_FrameCost, ...]:
    found = []
    # What a slot adds follows from these: neither the stem nor the number of other blocks has a part in it.
    of_slots: dict[tuple[int, int, int, bool], list[int]] = {}
    for frame in space.frames():

        def count(chosen: Sequence[Operator], frame: Frame = frame) -> int:
            counts = cost(
                space.architecture(frame, chosen), image_size=image_size, in_channels=in_channels, classes=classes
            )
            return counts.flops if counted == "flops" else counts.params

        slots = space.slots(frame)
        options = [space.stages[slot.stage].operators(slot.channels) for slot in slots]
        chosen = [operators[0] for operators in options]
        first = count(chosen)
        added = []
        for index, (slot, operators) in enumerate(zip(slots, options, strict=True)):
            begins_stage = index == 0 or slots[index - 1].stage != slot.stage
            key = (slot.channels, slot.stage, slot.blocks, begins_stage)
            if key not in of_slots:
                others = ([*chosen[:index], other, *chosen[index + 1 :]] for other in operators)
                of_slots[key] = [count(each) - first for each in others]
            added.append(of_slots[key])
        found.append(_FrameCost(frame, options, first, added))
    return tuple(found)
