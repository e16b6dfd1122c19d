"""The kernels as operators: what compiles, exports, counts or trains in parallel holds them, not the reference."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.flop_counter import FlopCounterMode

from search_spaces.architecture import Architecture, Attention, PositionalEncoding
from search_spaces.attention import dispatch
from search_spaces.attention.layer import LocalSelfAttention
from search_spaces.resnet import build
from tests.support.attention import random_inputs
from tests.support.process_group import process_group

__all__ = ["process_group"]

numba_attention = torch.ops.local_attention.numba.default
ENCODINGS: tuple[PositionalEncoding, ...] = ("none", "relative", "relative_only")


@pytest.fixture(autouse=True)
def no_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """The k² copies are nowhere made."""

    def refused(*inputs: object, **options: object) -> Tensor:
        raise AssertionError("the reference was called")

    monkeypatch.setattr(dispatch, "reference_attention", refused)
    torch._dynamo.reset()


def layers(encoding: PositionalEncoding) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        LocalSelfAttention(8, 16, Attention(5, 4, encoding)),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        LocalSelfAttention(16, 16, Attention(3, 2, encoding)),
    )


def output_and_gradients(model: nn.Module, images: Tensor) -> list[Tensor]:
    images = images.clone().requires_grad_()
    output = model(images)
    return [output.detach(), *torch.autograd.grad(output.float().square().sum(), [images, *model.parameters()])]


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_compiled_model_is_one_graph_of_the_kernels_values(encoding: PositionalEncoding, autocast: bool) -> None:
    model = layers(encoding)
    images = torch.randn(3, 8, 7, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        expected = output_and_gradients(model, images)
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        assert isinstance(compiled, nn.Module)
        found = output_and_gradients(compiled, images)
    # What is fused rounds otherwise; under autocast that shows.
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=0.05 if autocast else 1e-3)


def test_what_is_exported_holds_the_operator_for_any_number_of_images() -> None:
    model = layers("relative").eval()
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(model, (torch.randn(2, 8, 7, 6),), dynamic_shapes=({0: batch},))
    assert [node.target for node in program.graph.nodes].count(numba_attention) == 2
    images = torch.randn(5, 8, 7, 6)
    torch.testing.assert_close(program.module()(images), model(images))


def test_blocks_are_exported_for_any_number_of_images() -> None:
    dtype = torch.float64  # which the compiled kernels leave to them
    model = layers("relative").eval().to(dtype)
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(model, (torch.randn(2, 8, 7, 6, dtype=dtype),), dynamic_shapes=({0: batch},))
    images = torch.randn(5, 8, 7, 6, dtype=dtype)
    torch.testing.assert_close(program.module()(images), model(images))


@pytest.mark.parametrize(("encoding", "products"), [("none", 2), ("relative", 3), ("relative_only", 2)])
def test_flops_of_a_graph_are_those_of_the_equation(encoding: PositionalEncoding, products: int) -> None:
    layer = LocalSelfAttention(16, 16, Attention(5, 4, encoding))
    image = torch.randn(1, 16, 6, 7)
    program = torch.export.export(layer, (image,)).module()
    with FlopCounterMode(display=False) as counter:
        output = program(image)
    projections = 2 if encoding == "relative_only" else 3
    forward = 42 * 2 * 16 * (projections * 16 + products * 25)
    assert counter.get_total_flops() == forward
    with FlopCounterMode(display=False) as counter:
        output.sum().backward()
    # The image has no gradient of its own.
    assert counter.get_total_flops() == 2 * forward - 42 * 2 * 16 * projections * 16


def test_a_whole_network_is_one_graph_and_is_exported() -> None:
    torch.manual_seed(0)
    blocks = (Attention(3, 2, "relative"),)
    network = build(Architecture("attention", 8, (blocks,) * 4), image_size=16, classes=3)
    images = torch.randn(2, 3, 16, 16)
    expected = output_and_gradients(network, images)
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    assert isinstance(compiled, nn.Module)
    torch.testing.assert_close(output_and_gradients(compiled, images), expected, rtol=1e-3, atol=1e-3)
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(network.eval(), (images,), dynamic_shapes=({0: batch},))
    assert [node.target for node in program.graph.nodes].count(numba_attention) == 4
    images = torch.randn(3, 3, 16, 16)
    torch.testing.assert_close(program.module()(images), network(images))


def test_trains_in_parallel(process_group: None) -> None:
    model = layers("relative")
    images = torch.randn(4, 8, 7, 6)
    expected = output_and_gradients(model, images)
    parallel = DistributedDataParallel(torch.compile(model, backend="aot_eager", fullgraph=True))
    parallel(images).square().sum().backward()
    for parameter, right in zip(model.parameters(), expected[2:], strict=True):
        torch.testing.assert_close(parameter.grad, right, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("layout", ["channels first", "channels last", "slice"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_operator_does_what_its_fake_kernel_says(encoding: PositionalEncoding, layout: str) -> None:
    inputs = random_inputs((2, 5, 6, 3, 4), 3, encoding, torch.float32, layout)
    torch.library.opcheck(numba_attention, (*inputs, 3))


def test_second_derivatives_are_refused() -> None:
    inputs = random_inputs((1, 4, 4, 1, 4), 3, "none", torch.float32, "channels last")
    (gradient,) = torch.autograd.grad(numba_attention(*inputs, 3).square().sum(), inputs[0], create_graph=True)
    with pytest.raises(RuntimeError, match="first derivatives only"):
        torch.autograd.grad(gradient.sum(), inputs[0])
    layer = LocalSelfAttention(4, 4, Attention(3, 1, "none"))
    images = torch.randn(1, 4, 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(layer(images).square().sum(), images, create_graph=True)
    with pytest.raises(RuntimeError, match="first derivatives only"):
        gradient.sum().backward()
