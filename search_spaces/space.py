"""The architectures that a search may choose from, read from YAML.

A space is a set of frames (stem, depth, width) and, in each frame, of slots that each take one operator: one slot for a
stage or one for a block, by the space's granularity. Whatever a space yields can be built.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from search_spaces.architecture import (
    BLOCKS_OF_DEPTH,
    STAGE_COUNT,
    STEM_HEADS,
    Architecture,
    Attention,
    Convolution,
    Operator,
    Stem,
)
from search_spaces.errors import UserError
from search_spaces.operator_choices import OPERATORS, OperatorChoices

BASE_CHANNELS = 64
STAGE_KEYS = tuple(f"stage{index + 1}" for index in range(STAGE_COUNT))

Value = str | int | float
# Chooses one of the values for the choice of that name.
Pick = Callable[[str, Sequence[Value]], Value]


@lru_cache(maxsize=1024)
def _fitting_widths(widths: tuple[float, ...], stages: tuple[OperatorChoices, ...], stem: Stem) -> tuple[float, ...]:
    """The widths at which this stem and at least one operator of every stage can be built."""
    return tuple(
        width
        for width in widths
        if (stem == "convolution" or round(width * BASE_CHANNELS) % (2 * STEM_HEADS) == 0)
        and all(choices.operators(round(width * BASE_CHANNELS) * 2**index) for index, choices in enumerate(stages))
    )


@dataclass(frozen=True, slots=True)
class Frame:
    """What is chosen once for a network."""

    stem: Stem
    depth: int
    width: float

    @property
    def base_channels(self) -> int:
        return round(self.width * BASE_CHANNELS)


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in a frame that takes one operator, for `blocks` blocks of stage `stage` (0 to 3)."""

    name: str
    stage: int
    blocks: int
    channels: int


@lru_cache(maxsize=1024)
def _slots(granularity: Literal["stage", "block"], depth: int, base_channels: int) -> tuple[Slot, ...]:
    slots = []
    for stage, blocks in enumerate(BLOCKS_OF_DEPTH[depth]):
        channels = base_channels * 2**stage
        if granularity == "stage":
            slots.append(Slot(STAGE_KEYS[stage], stage, blocks, channels))
        else:
            slots += [Slot(f"{STAGE_KEYS[stage]}.block{block + 1}", stage, 1, channels) for block in range(blocks)]
    return tuple(slots)


@dataclass(frozen=True, slots=True)
class Space:
    """A space of architectures. Made by `space_reading.space_from_mapping`, which checks it."""

    name: str
    granularity: Literal["stage", "block"]
    stem: tuple[Stem, ...]
    depth: tuple[int, ...]
    width: tuple[float, ...]
    stages: tuple[OperatorChoices, ...]

    def to_json(self) -> dict[str, Any]:
        """The space as the mapping that its YAML file holds, every stage written out."""
        written = [
            {
                "operator": list(stage.operator),
                "spatial_extent": list(stage.spatial_extent),
                "heads": list(stage.heads),
                "positional_encoding": list(stage.positional_encoding),
            }
            for stage in self.stages
        ]
        return {
            "granularity": self.granularity,
            "stem": list(self.stem),
            "depth": list(self.depth),
            "width": list(self.width),
            "stages": written[0],
            **dict(zip(STAGE_KEYS, written, strict=True)),
        }

    def frames(self) -> Iterator[Frame]:
        """Every frame in which each slot has an operator."""
        for stem in self.stem:
            for depth in self.depth:
                for width in self._widths(stem):
                    yield Frame(stem, depth, width)

    def slots(self, frame: Frame) -> tuple[Slot, ...]:
        """The slots of a frame, from the input on."""
        return _slots(self.granularity, frame.depth, frame.base_channels)

    def architecture(self, frame: Frame, operators: Sequence[Operator]) -> Architecture:
        """The network that has `operators` in the slots of `frame`."""
        stages: list[tuple[Operator, ...]] = [()] * STAGE_COUNT
        for slot, operator in zip(self.slots(frame), operators, strict=True):
            stages[slot.stage] += (operator,) * slot.blocks
        return Architecture(frame.stem, frame.base_channels, tuple(stages))

    def decide(self, pick: Pick) -> Architecture:
        """One architecture, each choice made by `pick(name, values)`; only values that can be built are offered.

        A choice is offered only where it matters: extent, heads and encoding where attention was picked. Where fewer
        values can be built than the space lists, they stand in the name (`stage1.heads[1,2]`): a name always comes
        with the same values, which is what samplers need.
        """
        stem: Any = _offer(pick, "stem", [stem for stem in self.stem if self._widths(stem)], self.stem)
        depth: Any = pick("depth", self.depth)
        width: Any = _offer(pick, "width", self._widths(stem), self.width)
        frame = Frame(stem, depth, width)
        return self.architecture(frame, [self._decide_operator(slot, pick) for slot in self.slots(frame)])

    def _decide_operator(self, slot: Slot, pick: Pick) -> Operator:
        choices = self.stages[slot.stage]
        kinds, heads_of = choices.offers(slot.channels)
        if _offer(pick, f"{slot.name}.operator", kinds, choices.operator) == "convolution":
            return Convolution()
        extent: Any = pick(f"{slot.name}.spatial_extent", choices.spatial_extent)
        encodings = tuple(heads_of)
        encoding: Any = _offer(pick, f"{slot.name}.positional_encoding", encodings, choices.positional_encoding)
        heads: Any = _offer(pick, f"{slot.name}.heads", heads_of[encoding], choices.heads)
        return Attention(extent, heads, encoding)

    def choices_of(self, architecture: Architecture) -> dict[str, Value]:
        """What `decide` has to pick, by name, to arrive at an architecture. Raises UserError where it cannot."""
        chosen: dict[str, Value] = {"stem": architecture.stem, "width": architecture.base_channels / BASE_CHANNELS}
        blocks = tuple(len(operators) for operators in architecture.stages)
        chosen["depth"] = next((depth for depth in self.depth if BLOCKS_OF_DEPTH[depth] == blocks), 0)
        for stage, operators in enumerate(architecture.stages):
            for block, operator in enumerate(operators):
                name = STAGE_KEYS[stage] if self.granularity == "stage" else f"{STAGE_KEYS[stage]}.block{block + 1}"
                chosen |= {f"{name}.{choice}": value for choice, value in operator.to_json().items()}
        picked: dict[str, Value] = {}

        def pick(name: str, values: Sequence[Value]) -> Value:
            value = chosen.get(name.partition("[")[0], 0)
            if value not in values:
                raise UserError(f"architecture {architecture.label} is not in space {self.name}: no {name} {value}.")
            picked[name] = value
            return value

        if self.decide(pick) != architecture:
            raise UserError(
                f"architecture {architecture.label} is not in space {self.name}: its blocks differ in a stage."
            )
        return picked

    def holds(self, architecture: Architecture) -> bool:
        """Whether an architecture is in this space."""
        try:
            self.choices_of(architecture)
        except UserError:
            return False
        return True

    def sample(self, rng: random.Random) -> Architecture:
        """A random architecture, each choice uniform over what it may be."""
        return self.decide(lambda name, values: rng.choice(values))

    def anchors(self) -> tuple[Architecture, ...]:
        """The baselines of a search: all convolution and all attention, in the first depth and width.

        The attention is the paper's default (extent 7, 8 heads, relative positions), or the nearest that the space
        holds. Where the space has one kind only, so do the anchors.
        """

        def preferring(operator: str) -> Architecture:
            preferred: dict[str, Value] = {"operator": operator, "spatial_extent": 7, "positional_encoding": "relative"}

            def pick(name: str, values: Sequence[Value]) -> Value:
                choice = name.partition("[")[0].rpartition(".")[2]
                if choice == "stem":
                    return next((stem for stem in values if stem == operator), values[0])
                if choice == "heads":
                    return max(value for value in values if isinstance(value, int))
                return preferred[choice] if preferred.get(choice) in values else values[0]

            return self.decide(pick)

        return tuple(dict.fromkeys(preferring(operator) for operator in OPERATORS))

    def size(self) -> int:
        """How many distinct architectures the space holds."""
        return sum(
            math.prod(len(self.stages[slot.stage].operators(slot.channels)) for slot in self.slots(frame))
            for frame in self.frames()
        )

    def _widths(self, stem: Stem) -> tuple[float, ...]:
        return _fitting_widths(self.width, self.stages, stem)


def _offer(pick: Pick, name: str, offered: Sequence[Value], listed: Sequence[Value]) -> Value:
    if len(offered) < len(listed):
        name = f"{name}[{','.join(map(str, offered))}]"
    return pick(name, offered)
