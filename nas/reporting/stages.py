"""What each stage of an architecture was chosen to be, in words and in numbers."""

from collections import Counter
from dataclasses import dataclass

from search_spaces.architecture import Architecture, Attention, Operator


@dataclass(frozen=True, slots=True)
class StageChoice:
    """One stage as numbers; where its blocks differ, their means and their most common encoding.

    `attention` is the share of blocks that are attention; the rest are None where that is 0.
    """

    attention: float
    spatial_extent: float | None
    heads: float | None
    positional_encoding: str | None


def stage_choices(architecture: Architecture) -> list[StageChoice]:
    """The choice of each stage, from the input on."""
    return [_stage_choice(blocks) for blocks in architecture.stages]


def _stage_choice(blocks: tuple[Operator, ...]) -> StageChoice:
    attentions = [operator for operator in blocks if isinstance(operator, Attention)]
    if not attentions:
        return StageChoice(0.0, None, None, None)
    encodings = Counter(attention.positional_encoding for attention in attentions)
    return StageChoice(
        attention=len(attentions) / len(blocks),
        spatial_extent=sum(attention.spatial_extent for attention in attentions) / len(attentions),
        heads=sum(attention.heads for attention in attentions) / len(attentions),
        positional_encoding=encodings.most_common(1)[0][0],
    )


def stage_texts(architecture: Architecture) -> list[str]:
    """What each stage is made of, in short; blocks that differ are listed one by one."""
    texts = []
    for blocks in architecture.stages:
        labels = [operator.label for operator in blocks]
        texts.append(labels[0] if len(set(labels)) == 1 else " ".join(labels))
    return texts
