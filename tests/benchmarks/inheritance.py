"""A network that starts from the weights of another one, trained, where the two are alike.

Parts are the stem, each block and the head, named as in the network ("stem", "stages.0.1", "head").
"""

import copy
import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from search_spaces.architecture import Architecture
from search_spaces.inheritance import alike_parts, part_of
from search_spaces.resnet import ResNet
from trainers.data.config import DataSummary

# "blocks" takes what is in parts that compute alike, as a search does. "tensors" takes whatever has the same name and
# shape, as the 1×1 convolutions of any two blocks have.
Rule = Literal["blocks", "tensors"]


@dataclass(frozen=True, slots=True)
class Inherited:
    """Which shares of a network's parameters and FLOPs are its parent's, 0 to 1.

    Of a part that is only in part its parent's, as many of the FLOPs count as of the parameters.
    """

    params: float
    flops: float


def inherit(child: ResNet, parent: ResNet, rule: Rule) -> ResNet:
    """A copy of `child` with the parent's parameters and batch norm buffers where the rule has them; the rest is as it
    was. A block's place is its stage and its number therein, so that of stages of two depths the first blocks fit."""
    heir = copy.deepcopy(child)
    state = heir.state_dict()
    trained = parent.state_dict()
    names = inherited_names(child, parent, rule)
    heir.load_state_dict(state | {name: trained[name] for name in names})
    return heir


def inherited_names(child: ResNet, parent: ResNet, rule: Rule) -> list[str]:
    """The tensors of `child`, named as in its state, that it inherits."""
    alike = alike_parts(child.architecture, parent.architecture)
    there = parent.state_dict()
    return [
        name
        for name, tensor in child.state_dict().items()
        if name in there and tensor.shape == there[name].shape and (rule == "tensors" or part_of(name) in alike)
    ]


def inherited_share(child: ResNet, parent: ResNet, rule: Rule, data: DataSummary) -> Inherited:
    """How much of `child` is its parent's."""
    parameters = dict(child.named_parameters())
    taken = [name for name in inherited_names(child, parent, rule) if name in parameters]
    whole, found = _sizes(parameters, parameters), _sizes(taken, parameters)
    flops = part_flops(child.architecture, data)
    return Inherited(
        params=sum(found.values()) / sum(whole.values()),
        flops=sum(flops[part] * found.get(part, 0) / whole[part] for part in flops) / sum(flops.values()),
    )


def part_flops(architecture: Architecture, data: DataSummary) -> dict[str, int]:
    """The FLOPs of each part; all together are the network's."""
    cost = data.cost(architecture)
    flops = {name: sum(part.flops for part in cost.parts if part.section == name) for name in ("stem", "head")}
    for index, operators in enumerate(architecture.stages):
        before = 0
        for count in range(1, len(operators) + 1):
            stages = (*architecture.stages[:index], operators[:count], *architecture.stages[index + 1 :])
            parts = data.cost(dataclasses.replace(architecture, stages=stages)).parts
            stage = sum(part.flops for part in parts if part.section == f"stage{index + 1}")
            flops[f"stages.{index}.{count - 1}"] = stage - before
            before = stage
    return flops


def _sizes(names: Iterable[str], parameters: Mapping[str, Tensor]) -> dict[str, int]:
    """How many numbers of these parameters each part has."""
    sizes: dict[str, int] = {}
    for name in names:
        sizes[part_of(name)] = sizes.get(part_of(name), 0) + parameters[name].numel()
    return sizes
