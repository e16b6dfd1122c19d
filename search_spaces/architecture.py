"""The frozen, canonical description of one network: what it computes, and nothing else.

Two descriptions are equal exactly when the networks they describe are built alike, so the id of a description
identifies the network: a convolution has no heads, and a depth is the number of blocks that it stands for.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from search_spaces.canonical_json import canonical_json
from search_spaces.errors import UserError, unknown_name
from search_spaces.json_fields import read_object

PositionalEncoding = Literal["none", "absolute", "relative", "relative_only"]
Stem = Literal["convolution", "attention", "attention_stand_alone", "attention_convolutional_values"]

POSITIONAL_ENCODINGS: tuple[str, ...] = get_args(PositionalEncoding)
STEMS: tuple[str, ...] = get_args(Stem)

ARCHITECTURE_FORMAT = "resnet/1"
STAGE_COUNT = 4
EXPANSION = 4
STEM_HEADS = 4
# The side of the blocks that an attention stem attends in, and how many projections its values are mixed from.
STEM_WINDOW = 4
STEM_MIXTURES = 4

# Blocks in each stage. 26, 38 and 50 are the paper's; 14, 101 and 152 follow the same bottleneck layout.
BLOCKS_OF_DEPTH: dict[int, tuple[int, int, int, int]] = {
    14: (1, 1, 1, 1),
    26: (1, 2, 4, 1),
    38: (2, 3, 5, 2),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


@dataclass(frozen=True, slots=True)
class Convolution:
    """The 3×3 convolution of a ResNet bottleneck."""

    def to_json(self) -> dict[str, Any]:
        return {"operator": "convolution"}

    @property
    def label(self) -> str:
        return "C"


@dataclass(frozen=True, slots=True)
class Attention:
    """Local self-attention in place of the 3×3 convolution (arXiv 1906.05909).

    `spatial_extent` is k, the side of the neighbourhood; `positional_encoding` "relative_only" is the paper's
    ablation that keeps the q·r term and drops q·k.
    """

    spatial_extent: int
    heads: int
    positional_encoding: PositionalEncoding

    def __post_init__(self) -> None:
        if not _is_count(self.spatial_extent) or self.spatial_extent % 2 == 0:
            raise UserError(f"spatial_extent is {self.spatial_extent!r}: expected an odd whole number of at least 1.")
        if not _is_count(self.heads):
            raise UserError(f"heads is {self.heads!r}: expected a whole number of at least 1.")
        if self.positional_encoding not in POSITIONAL_ENCODINGS:
            raise unknown_name("positional_encoding", self.positional_encoding, POSITIONAL_ENCODINGS)

    def to_json(self) -> dict[str, Any]:
        return {
            "operator": "attention",
            "spatial_extent": self.spatial_extent,
            "heads": self.heads,
            "positional_encoding": self.positional_encoding,
        }

    @property
    def label(self) -> str:
        letter = {"none": "n", "absolute": "a", "relative": "r", "relative_only": "o"}[self.positional_encoding]
        return f"A{self.spatial_extent}×{self.heads}{letter}"

    def problem_at(self, channels: int) -> str | None:
        """Why this operator cannot be built on `channels` output channels, or None when it can."""
        if channels % self.heads:
            return f"{self.heads} heads do not divide {channels} channels"
        if self.positional_encoding.startswith("relative") and (channels // self.heads) % 2:
            return (
                f"relative positions need an even number of channels a head, "
                f"and {channels} channels in {self.heads} heads are {channels // self.heads}"
            )
        return None


Operator = Convolution | Attention


@dataclass(frozen=True, slots=True)
class Architecture:
    """One bottleneck ResNet (v1.5 layout): a stem and the operator of every block of its four stages.

    `base_channels` is the width of the stem and of the first stage's bottlenecks (64 at width multiplier 1); stage i
    has base_channels · 2^i inside its bottlenecks and 4 times as many outside. Raises UserError where an operator does
    not fit its channels.
    """

    stem: Stem
    base_channels: int
    stages: tuple[tuple[Operator, ...], ...]

    def __post_init__(self) -> None:
        if self.stem not in STEMS:
            raise unknown_name("stem", self.stem, STEMS)
        if not _is_count(self.base_channels):
            raise UserError(f"base_channels is {self.base_channels!r}: expected a whole number of at least 1.")
        if self.stem != "convolution" and self.base_channels % (2 * STEM_HEADS):
            raise UserError(
                f"base_channels is {self.base_channels}: an attention stem has {STEM_HEADS} heads and needs "
                f"a multiple of {2 * STEM_HEADS}."
            )
        if len(self.stages) != STAGE_COUNT or not all(self.stages):
            raise UserError(
                f"stages has {len(self.stages)} entries: expected {STAGE_COUNT}, each of at least one block."
            )
        for index, blocks in enumerate(self.stages):
            channels = self.stage_channels(index)
            for operator in dict.fromkeys(blocks):
                problem = operator.problem_at(channels) if isinstance(operator, Attention) else None
                if problem:
                    raise UserError(f"stage {index + 1} cannot be built: {problem}.")

    def stage_channels(self, index: int) -> int:
        """Channels inside the bottlenecks of stage `index` (0 to 3)."""
        return self.base_channels * 2**index

    @property
    def depth(self) -> int:
        """Layers with weights on the main path: three a block, the stem and the head."""
        return 3 * sum(len(blocks) for blocks in self.stages) + 2

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits that are equal exactly for equal architectures."""
        return hashlib.sha256(canonical_json(self.to_json())).hexdigest()[:12]

    @property
    def label(self) -> str:
        """A short name to read, as `R26 w16 · c C A7×8r A7×8r A5×4n`: depth, width, stem, then the four stages."""
        stem = {
            "convolution": "c",
            "attention": "a",
            "attention_stand_alone": "as",
            "attention_convolutional_values": "ac",
        }[self.stem]
        return f"R{self.depth} w{self.base_channels} · {stem} {' '.join(map(_stage_label, self.stages))}"

    def to_json(self) -> dict[str, Any]:
        return {
            "format": ARCHITECTURE_FORMAT,
            "stem": self.stem,
            "base_channels": self.base_channels,
            "stages": [[operator.to_json() for operator in blocks] for blocks in self.stages],
        }

    @classmethod
    def from_json(cls, data: object) -> "Architecture":
        """The architecture that `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        fields = read_object(data, "architecture", ["base_channels", "format", "stages", "stem"])
        if fields["format"] != ARCHITECTURE_FORMAT:
            raise UserError(f"architecture format is {fields['format']!r}: expected {ARCHITECTURE_FORMAT!r}.")
        stages = fields["stages"]
        if not isinstance(stages, list) or not all(isinstance(blocks, list) for blocks in stages):
            raise UserError("architecture stages: expected a list of lists of operators.")
        return cls(
            stem=fields["stem"],
            base_channels=fields["base_channels"],
            stages=tuple(tuple(operator_from_json(block) for block in blocks) for blocks in stages),
        )


def operator_from_json(data: object) -> Operator:
    """The operator that `to_json` wrote. Raises UserError on anything else."""
    kind = data.get("operator") if isinstance(data, Mapping) else None
    if kind == "convolution":
        read_object(data, "convolution", ["operator"])
        return Convolution()
    if kind == "attention":
        fields = read_object(data, "attention", ["heads", "operator", "positional_encoding", "spatial_extent"])
        return Attention(fields["spatial_extent"], fields["heads"], fields["positional_encoding"])
    raise unknown_name("operator", kind, ("convolution", "attention"))


def stem_stride(image_size: int) -> int:
    """By how much a stem reduces an image of this side: 4 as on ImageNet, 2 up to 96 pixels, 1 up to 32.

    It follows from the image and is no part of the architecture, so that one found on small images can be trained
    on large ones.
    """
    if image_size <= 32:
        return 1
    return 2 if image_size <= 96 else 4


def _stage_label(blocks: tuple[Operator, ...]) -> str:
    if len(set(blocks)) == 1:
        return blocks[0].label
    return f"({','.join(operator.label for operator in blocks)})"


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
