"""What a network inherits: all of an equal one, the alike blocks of another, and the rest as it was."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from search_spaces.architecture import Architecture, Attention, Convolution, Operator
from search_spaces.resnet import ResNet
from tests.benchmarks.inheritance import Rule, inherit, inherited_share, part_flops
from trainers.data.config import DATA_DEFAULTS
from trainers.data.datasets import check_data
from trainers.model import seeded_model

DATA = check_data(DATA_DEFAULTS["digits"])
ATTENTION = Attention(3, 2, "relative")
STAGES: tuple[tuple[Operator, ...], ...] = ((Convolution(),), (ATTENTION,) * 2, (Convolution(),) * 3, (ATTENTION,))
PARENT = Architecture("convolution", 8, STAGES)


def network(architecture: Architecture, seed: int) -> ResNet:
    """Of weights, statistics and last batch norms that differ by seed, as trained ones do."""
    model = seeded_model(architecture, DATA, seed)
    assert isinstance(model, ResNet)
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                assert tensor is not None
                nn.init.uniform_(tensor.detach(), 0.5, 1.5, generator=generator)
            assert module.num_batches_tracked is not None
            module.num_batches_tracked.fill_(seed + 1)
    return model.eval()


def with_stage(index: int, operators: tuple[Operator, ...]) -> Architecture:
    return dataclasses.replace(PARENT, stages=(*STAGES[:index], operators, *STAGES[index + 1 :]))


def equal_to(state: dict[str, Tensor], other: dict[str, Tensor]) -> set[str]:
    return {name for name in state if name in other and torch.equal(state[name], other[name])}


@pytest.mark.parametrize("rule", ["blocks", "tensors"])
def test_an_equal_network_inherits_all_and_computes_the_same(rule: Rule) -> None:
    parent, child = network(PARENT, 0), network(PARENT, 1)
    images_BCHW = torch.rand(4, DATA.in_channels, DATA.image_size, DATA.image_size)
    before = child(images_BCHW)
    heir = inherit(child, parent, rule)
    assert torch.equal(heir(images_BCHW), parent(images_BCHW))
    # The child itself is as it was, and its heir's weights are no part of the parent.
    assert torch.equal(child(images_BCHW), before) and not torch.equal(before, parent(images_BCHW))
    pointers = {tensor.data_ptr() for tensor in parent.state_dict().values()}
    assert not pointers & {tensor.data_ptr() for tensor in heir.state_dict().values()}
    share = inherited_share(child, parent, rule, DATA)
    assert (share.params, share.flops) == (1, 1)


@pytest.mark.parametrize(
    "changed", [(Convolution(),) * 2, (Attention(5, 2, "relative"),) * 2, (Attention(3, 4, "relative"),) * 2,
                (Attention(3, 2, "absolute"),) * 2]
)  # fmt: skip
def test_blocks_of_a_changed_stage_stay_as_initialised_and_all_others_are_the_parents(
    changed: tuple[Operator, ...],
) -> None:
    parent, child = network(PARENT, 0), network(with_stage(1, changed), 1)
    heir = inherit(child, parent, "blocks").state_dict()
    in_stage = {name for name in heir if name.startswith("stages.1.")}
    assert any("running_var" in name for name in in_stage) and any("num_batches" in name for name in heir)
    assert equal_to(heir, parent.state_dict()) == heir.keys() - in_stage
    assert equal_to(heir, child.state_dict()) == in_stage

    sizes = {name: parameter.numel() for name, parameter in child.named_parameters()}
    share = inherited_share(child, parent, "blocks", DATA)
    assert share.params == pytest.approx(1 - sum(sizes[name] for name in in_stage & sizes.keys()) / sum(sizes.values()))
    cost = DATA.cost(child.architecture)
    in_stage_flops = sum(part.flops for part in cost.parts if part.section == "stage2")
    assert share.flops == pytest.approx(1 - in_stage_flops / cost.flops)


def test_by_tensors_all_but_what_is_of_another_shape_is_inherited() -> None:
    parent, child = network(PARENT, 0), network(with_stage(2, (Attention(3, 2, "none"),) * 3), 1)
    heir = inherit(child, parent, "tensors").state_dict()
    assert {name for name in heir if name not in equal_to(heir, parent.state_dict())} == {
        f"stages.2.{block}.{'centre.0' if block == 0 else 'centre'}.{projection}.weight"
        for block in range(3)
        for projection in ("query", "key", "value")
    }
    wider = network(with_stage(1, (Attention(5, 2, "relative"),) * 2), 1)
    heir = inherit(wider, parent, "tensors").state_dict()
    assert {name.rpartition(".")[2] for name in heir if name not in equal_to(heir, parent.state_dict())} == {
        "row",
        "column",
    }


def test_of_two_depths_the_blocks_that_both_have_are_inherited() -> None:
    shallow, deep = network(PARENT, 0), network(with_stage(2, (Convolution(),) * 5), 1)
    heir = inherit(deep, shallow, "blocks").state_dict()
    new = {name for name in heir if name.startswith(("stages.2.3.", "stages.2.4."))}
    assert equal_to(heir, shallow.state_dict()) == heir.keys() - new
    assert equal_to(heir, deep.state_dict()) == new
    less = inherit(shallow, deep, "blocks").state_dict()
    assert equal_to(less, deep.state_dict()) == less.keys()


def test_networks_of_other_channels_and_stems_share_what_fits() -> None:
    other_width = network(dataclasses.replace(PARENT, base_channels=16), 0)
    share = inherited_share(network(PARENT, 1), other_width, "blocks", DATA)
    assert share.params < 0.01 and share.flops < 0.01  # the bias of the head
    stem = dataclasses.replace(PARENT, stem="attention")
    child = network(stem, 1)
    heir = inherit(child, network(PARENT, 0), "blocks").state_dict()
    assert {name for name in equal_to(heir, child.state_dict()) if name in dict(child.named_parameters())} == {
        name for name, _ in child.named_parameters() if name.startswith("stem.")
    }


def test_the_flops_of_the_parts_are_those_of_the_network() -> None:
    for architecture in (PARENT, dataclasses.replace(PARENT, stem="attention")):
        flops = part_flops(architecture, DATA)
        assert sum(flops.values()) == DATA.cost(architecture).flops
        assert len(flops) == 2 + sum(map(len, architecture.stages)) and min(flops.values()) > 0
