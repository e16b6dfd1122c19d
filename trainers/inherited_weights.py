"""A network that begins with the weights of another one, trained, wherever the two compute alike."""

from collections.abc import Mapping

from torch import Tensor, nn

from search_spaces.architecture import Architecture
from search_spaces.inheritance import alike_parts, part_of


def inherit(model: nn.Module, architecture: Architecture, weights: Mapping[str, Tensor], parent: Architecture) -> None:
    """Gives `model`, of `architecture`, the parameters and batch norm statistics of the parts that it shares with
    `parent`, whose state is `weights`. The others stay as they are, and the tensors of `weights` their owner's."""
    alike = alike_parts(architecture, parent)
    state = model.state_dict()
    inherited = {name: tensor for name, tensor in weights.items() if part_of(name) in alike}
    assert inherited.keys() == {name for name in state if part_of(name) in alike}
    model.load_state_dict(state | inherited)
