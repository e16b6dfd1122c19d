"""Which parts of a network compute as those of another do, so that it may begin with their weights.

Parts are the stem, each block and the head, named as in a network's state: "stem", "stages.0.1", "head". Pure; nothing
here needs torch.
"""

from collections.abc import Mapping

from search_spaces.architecture import Architecture


def alike_parts(architecture: Architecture, other: Architecture) -> frozenset[str]:
    """The parts that are the same in both: the same stem, or the same operator at the same place of the same stage.

    A block's place is its stage and its number therein, so that of stages of two depths the first blocks are alike.
    Networks of other channels have nothing in common.
    """
    if architecture.base_channels != other.base_channels:
        return frozenset()
    alike = {"head"}
    if architecture.stem == other.stem:
        alike.add("stem")
    for stage, (ours, theirs) in enumerate(zip(architecture.stages, other.stages, strict=True)):
        # One of the two may be deeper.
        pairs = enumerate(zip(ours, theirs, strict=False))
        alike |= {f"stages.{stage}.{block}" for block, (one, another) in pairs if one == another}
    return frozenset(alike)


def part_of(tensor: str) -> str:
    """The part that a tensor of a network's state is in."""
    section, stage, block, *_ = [*tensor.split("."), "", ""]
    return f"stages.{stage}.{block}" if section == "stages" else section


def alike_share(architecture: Architecture, other: Architecture, params: Mapping[str, int]) -> float:
    """The share of the parameters of `architecture`, `params` by part, that are in parts alike those of `other`."""
    return sum(params[part] for part in alike_parts(architecture, other)) / sum(params.values())
