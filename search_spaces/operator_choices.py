"""What one stage of a space may be made of, and which of it fits a number of channels."""

from dataclasses import dataclass
from functools import lru_cache

from search_spaces.architecture import Attention, Convolution, Operator, PositionalEncoding

OPERATORS = ("convolution", "attention")


@dataclass(frozen=True, slots=True)
class OperatorChoices:
    """What one stage may be made of. Extents, heads and encodings hold where attention was chosen."""

    operator: tuple[str, ...]
    spatial_extent: tuple[int, ...]
    heads: tuple[int, ...]
    positional_encoding: tuple[PositionalEncoding, ...]

    def attentions(self, channels: int) -> tuple[Attention, ...]:
        """Every attention operator of these choices that fits `channels`."""
        return _attentions(self, channels)

    def operators(self, channels: int) -> tuple[Operator, ...]:
        """Every operator of these choices that fits `channels`."""
        convolution: tuple[Operator, ...] = (Convolution(),) if "convolution" in self.operator else ()
        return convolution + self.attentions(channels)

    def offers(self, channels: int) -> tuple[tuple[str, ...], dict[str, tuple[int, ...]]]:
        """The kinds of operator that fit `channels`, and the numbers of heads for each encoding that fits."""
        return _offers(self, channels)


@lru_cache(maxsize=1024)
def _attentions(choices: OperatorChoices, channels: int) -> tuple[Attention, ...]:
    if "attention" not in choices.operator:
        return ()
    return tuple(
        attention
        for extent in choices.spatial_extent
        for encoding in choices.positional_encoding
        for heads in choices.heads
        if (attention := Attention(extent, heads, encoding)).problem_at(channels) is None
    )


@lru_cache(maxsize=1024)
def _offers(choices: OperatorChoices, channels: int) -> tuple[tuple[str, ...], dict[str, tuple[int, ...]]]:
    attentions = choices.attentions(channels)
    heads_of: dict[str, dict[int, None]] = {}
    for attention in attentions:
        heads_of.setdefault(attention.positional_encoding, {})[attention.heads] = None
    kinds = tuple(kind for kind in choices.operator if kind == "convolution" or attentions)
    return kinds, {encoding: tuple(heads) for encoding, heads in heads_of.items()}
