"""What a network takes from a trained one: every tensor of the parts that they share, and nothing else."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from search_spaces.architecture import Architecture, Attention, Convolution, Operator
from search_spaces.inheritance import part_of
from trainers.data.config import DATA_DEFAULTS
from trainers.data.datasets import check_data
from trainers.inherited_weights import inherit
from trainers.model import seeded_model

DATA = check_data(DATA_DEFAULTS["digits"])
ATTENTION = Attention(3, 2, "relative")
STAGES: tuple[tuple[Operator, ...], ...] = ((Convolution(),), (ATTENTION,) * 2, (Convolution(),) * 3, (ATTENTION,))
PARENT = Architecture("convolution", 8, STAGES)


def with_stage(index: int, *operators: Operator) -> Architecture:
    return dataclasses.replace(PARENT, stages=(*STAGES[:index], operators, *STAGES[index + 1 :]))


def network(architecture: Architecture, seed: int) -> nn.Module:
    """Of weights and statistics that all differ by seed, as those of trained networks do."""
    model = seeded_model(architecture, DATA, seed)
    generator = torch.Generator().manual_seed(seed)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            drawn = torch.rand(tensor.shape, generator=generator)
            # Variances are positive, and weights small enough for the network to give numbers.
            tensor.copy_(drawn + 0.5 if tensor.dim() == 1 else (drawn - 0.5) / 5)
        else:
            tensor.fill_(seed)
    return model.eval()


def states(child: Architecture, parent: Architecture = PARENT) -> tuple[dict[str, Tensor], ...]:
    """Those of a child before and after it inherits, and its parent's."""
    model, weights = network(child, 1), network(parent, 2).state_dict()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    inherit(model, child, weights, parent)
    return before, model.state_dict(), weights


def test_an_equal_network_computes_what_its_parent_does_and_leaves_it_alone() -> None:
    parent, child = network(PARENT, 2), network(PARENT, 1)
    images_BCHW = torch.rand(4, DATA.in_channels, DATA.image_size, DATA.image_size)
    expected = parent(images_BCHW)
    assert expected.isfinite().all()
    assert not torch.equal(child(images_BCHW), expected)
    inherit(child, PARENT, parent.state_dict(), PARENT)
    assert torch.equal(child(images_BCHW), expected)
    with torch.no_grad():
        for parameter in child.parameters():
            parameter.zero_()
    assert torch.equal(parent(images_BCHW), expected)


@pytest.mark.parametrize(
    ("child", "own"),
    [
        (with_stage(1, ATTENTION, Attention(5, 2, "relative")), {"stages.1.1"}),
        (with_stage(1, *(Attention(3, 2, "absolute"),) * 2), {"stages.1.0", "stages.1.1"}),
        (with_stage(2, *(Convolution(),) * 5), {"stages.2.3", "stages.2.4"}),
        (with_stage(2, Convolution()), set()),
        (dataclasses.replace(PARENT, stem="attention"), {"stem"}),
    ],
    ids=["one block", "a stage", "deeper", "shallower", "another stem"],
)
def test_the_parts_that_are_alike_are_the_parents_to_the_bit_and_all_others_stay(
    child: Architecture, own: set[str]
) -> None:
    before, after, weights = states(child)
    assert {part_of(name) for name in after} >= own
    for name, tensor in after.items():
        source = before if part_of(name) in own else weights
        assert torch.equal(tensor, source[name]), name


def test_of_other_channels_nothing_is_inherited() -> None:
    before, after, _ = states(dataclasses.replace(PARENT, base_channels=16))
    assert all(torch.equal(after[name], before[name]) for name in before)
