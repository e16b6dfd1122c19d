"""A network whose attention the Triton kernels compute, as it is trained: in halves, channels last, by several
processes, exported; on a GPU also compiled, in CUDA graphs, and on another device than the current one."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from search_spaces.architecture import Architecture, Attention, Convolution
from search_spaces.attention.layer import LocalSelfAttention
from search_spaces.attention.stem import AttentionStem
from search_spaces.resnet import build, written_out
from tests.support.process_group import process_group

__all__ = ["process_group"]

pytest.importorskip("triton", reason="Triton is made for Linux on x86-64")

needs_interpreter = pytest.mark.skipif(torch.cuda.is_available(), reason="compiled for the GPU that is here")
LOCAL, STEM = (getattr(torch.ops.local_attention, name).default for name in ("triton", "stem"))


def network(backend: str = "triton", channels: int = 8) -> nn.Module:
    """Attention in the stem and in the last stage, elsewhere convolution. In evaluation mode: the statistics of so few
    pixels would make much of small differences."""
    torch.manual_seed(0)
    stages = ((Convolution(),),) * 3 + ((Attention(3, 4, "relative"),),)
    module = build(Architecture("attention", channels, stages), image_size=8, classes=3)
    for each in module.modules():
        if isinstance(each, LocalSelfAttention | AttentionStem):
            each.backend = "blocks" if backend == "plain torch" else "triton"
    return module.eval()


def trained(model: nn.Module, images: Tensor, precision: torch.dtype | None = None) -> list[Tensor]:
    """The logits, and the gradients of all weights."""
    model.zero_grad()
    with torch.autocast(images.device.type, dtype=precision, enabled=precision is not None):
        logits = model(images)
    logits.float().square().sum().backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    return [logits.detach().float(), *(gradient.clone() for gradient in gradients if gradient is not None)]


def check(found: list[Tensor], expected: list[Tensor], tolerance: float) -> None:
    """By the norm of each."""
    for one, right in zip(found, expected, strict=True):
        assert (one - right).norm() <= tolerance * right.norm().clamp(min=1e-3), (one, right)


@needs_interpreter
@pytest.mark.parametrize("precision", [None, torch.float16])
def test_trains_as_in_plain_torch_channels_last(precision: torch.dtype | None) -> None:
    images = torch.randn(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    expected = trained(network("plain torch"), images)
    model = network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    check(trained(model, images, precision), expected, 1e-3 if precision is None else 0.1)


@needs_interpreter
def test_trains_in_parallel(process_group: None) -> None:
    images = torch.randn(2, 3, 8, 8)
    model = network()
    expected = trained(model, images)
    check(trained(DistributedDataParallel(model), images), expected, 1e-6)


@needs_interpreter
def test_what_is_written_out_holds_no_kernels_and_what_is_exported_does() -> None:
    model = network()
    images = torch.randn(2, 3, 8, 8)
    kernels = torch.export.export(model, (images,))
    assert {LOCAL, STEM} <= {node.target for node in kernels.graph.nodes}
    with written_out(model):
        program = torch.export.export(model, (images,))
    assert not any("local_attention" in str(node.target) for node in program.graph.nodes)
    torch.testing.assert_close(program.module()(images), model(images), rtol=1e-3, atol=1e-4)
    assert {module.backend for module in model.modules() if isinstance(module, LocalSelfAttention | AttentionStem)} == {
        "triton"
    }


def on_gpu(index: int = 0) -> tuple[nn.Module, Tensor]:
    device = torch.device("cuda", index)
    return network(channels=64).to(device), torch.randn(16, 3, 8, 8, device=device)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_trains_compiled_on_a_gpu(mode: str, precision: torch.dtype) -> None:
    model, images = on_gpu()
    expected = trained(model, images, precision)
    compiled = torch.compile(model, mode=mode, dynamic=False, fullgraph=True)
    assert isinstance(compiled, nn.Module)
    # A CUDA graph is recorded at the second call, and played from then on.
    for _ in range(4):
        check(trained(compiled, images, precision), expected, 0.1)


@pytest.mark.gpu
def test_is_recorded_in_a_cuda_graph() -> None:
    """Nothing waits for the GPU, and nothing is allocated whose size follows from numbers."""
    model, images = on_gpu()
    parameters = list(model.parameters())

    def step() -> list[Tensor]:
        with torch.autocast("cuda", dtype=torch.bfloat16):
            logits = model(images)
        return [logits, *torch.autograd.grad(logits.float().square().sum(), parameters)]

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            expected = [tensor.detach().clone() for tensor in step()]
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = step()
    for _ in range(2):
        graph.replay()
    torch.cuda.synchronize()
    check([tensor.detach() for tensor in found], expected, 1e-2)


@pytest.mark.gpu
def test_computes_on_another_device_than_the_current_one() -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("one device only")
    model, images = on_gpu()
    expected = [tensor.cpu() for tensor in trained(model, images)]
    check([tensor.cpu() for tensor in trained(model.to("cuda:1"), images.to("cuda:1"))], expected, 1e-3)


@pytest.mark.gpu
def test_after_memory_did_not_suffice_what_fits_is_computed() -> None:
    model, images = on_gpu()
    expected = trained(model, images)
    enough = torch.cuda.memory_reserved() + 2**28
    torch.cuda.set_per_process_memory_fraction(enough / torch.cuda.mem_get_info()[1])
    try:
        with pytest.raises(torch.cuda.OutOfMemoryError):
            trained(model, images.repeat(4096, 1, 1, 1))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    check(trained(model, images), expected, 1e-3)
