"""The paper's nine models by name (arXiv 1906.05909, table 1)."""

from search_spaces.architecture import BLOCKS_OF_DEPTH, Architecture, Attention, Convolution, Operator, Stem
from search_spaces.errors import unknown_name

# The paper's default: spatial extent 7, 8 heads, relative positions.
PAPER_ATTENTION = Attention(7, 8, "relative")


def _uniform(depth: int, stem: Stem, operator: Operator) -> Architecture:
    return Architecture(stem, 64, tuple((operator,) * blocks for blocks in BLOCKS_OF_DEPTH[depth]))


ARCHITECTURES: dict[str, Architecture] = {
    name: architecture
    for depth in (26, 38, 50)
    for name, architecture in (
        (f"resnet{depth}", _uniform(depth, "convolution", Convolution())),
        (f"resnet{depth}-conv-stem-attention", _uniform(depth, "convolution", PAPER_ATTENTION)),
        (f"resnet{depth}-attention", _uniform(depth, "attention", PAPER_ATTENTION)),
    )
}


def architecture_named(name: str) -> Architecture:
    """The registered architecture. Raises UserError naming the nearest where there is none."""
    if name not in ARCHITECTURES:
        raise unknown_name("architecture", name, ARCHITECTURES)
    return ARCHITECTURES[name]
