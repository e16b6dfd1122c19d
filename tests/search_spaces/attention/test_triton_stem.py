"""The attention stem's Triton kernels against the stem in plain torch: in Triton's interpreter, or on a GPU."""

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from search_spaces.architecture import Stem
from search_spaces.attention.stem import AttentionStem
from search_spaces.errors import UserError

pytest.importorskip("triton", reason="Triton is made for Linux on x86-64")

# Imported where Triton is.
from search_spaces.attention import triton_stem

needs_interpreter = pytest.mark.skipif(torch.cuda.is_available(), reason="compiled for the GPU that is here")
OPERATOR = torch.ops.local_attention.stem.default

# Stem, colours, channels, images, height, width: blocks that are cut off, one pixel, heads of channels that fill up no
# tile, more blocks than a program has.
CASES: list[tuple[Stem, int, int, tuple[int, int, int]]] = [
    ("attention", 3, 24, (2, 5, 7)),
    ("attention", 1, 8, (1, 1, 1)),
    ("attention_stand_alone", 5, 16, (1, 3, 6)),
    ("attention_convolutional_values", 3, 16, (3, 6, 2)),
]
Case = tuple[Stem, int, int, tuple[int, int, int]]
TOLERANCE = {torch.float64: 1e-11, torch.float32: 1e-5, torch.float16: 0.02, torch.bfloat16: 0.1}


@pytest.fixture(autouse=True)
def poisoned_memory() -> Iterator[None]:
    """What nobody has written holds NaN."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def stem_of(stem: Stem, colours: int, channels: int) -> AttentionStem:
    torch.manual_seed(3)
    module = AttentionStem(colours, channels, stem, 1).eval()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if not name.startswith("norm"):
                parameter.normal_(std=0.5)
    return module


def attended(module: AttentionStem, images: Tensor) -> list[Tensor]:
    """The output, and the gradients of the images, if they have one, and of everything that is learned."""
    output = module(images)
    gradient = torch.randn(output.shape, generator=torch.Generator().manual_seed(0)).to(output)
    differentiated = [images] if images.requires_grad else []
    differentiated += [parameter for name, parameter in module.named_parameters() if not name.startswith("norm")]
    return [output.detach(), *torch.autograd.grad(output, differentiated, gradient)]


def check(device: str, dtype: torch.dtype, case: Case) -> None:
    """Against plain torch in float64, on the same numbers."""
    stem, colours, channels, (batch, height, width) = case
    module = stem_of(stem, colours, channels).to(dtype)
    images = torch.randn(batch, colours, height, width).to(dtype).requires_grad_()
    exact = copy.deepcopy(module).double()
    exact.backend = "blocks"
    expected = attended(exact, images.detach().double().requires_grad_())
    module.backend = "triton"
    found = attended(module.to(device), images.detach().to(device).requires_grad_())
    for number, right in zip(found, expected, strict=True):
        assert number.dtype == dtype
        tolerance = TOLERANCE[dtype] * max(1.0, float(right.abs().max()))
        torch.testing.assert_close(number.double().cpu(), right, rtol=0, atol=tolerance)


@needs_interpreter
@pytest.mark.parametrize("case", CASES, ids=str)
def test_equals_plain_torch_in_the_interpreter(case: Case) -> None:
    check("cpu", torch.float64, case)


@needs_interpreter
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_precisions_in_the_interpreter(dtype: torch.dtype) -> None:
    check("cpu", dtype, ("attention", 3, 8, (1, 3, 5)))


@needs_interpreter
def test_a_program_sums_over_its_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_stem, "BACKWARD_PROGRAMS", 2)
    check("cpu", torch.float64, ("attention", 2, 8, (5, 4, 7)))


@needs_interpreter
@pytest.mark.parametrize("stem", ["attention", "attention_convolutional_values"])
def test_gradients_are_those_of_finite_differences(stem: Stem) -> None:
    module = stem_of(stem, 1, 8).double()
    module.backend = "triton"
    images = torch.randn(1, 1, 3, 2, dtype=torch.float64, requires_grad=True)
    parameters = [parameter for name, parameter in module.named_parameters() if not name.startswith("norm")]
    assert torch.autograd.gradcheck(lambda images, *_: module(images), (images, *parameters), fast_mode=True)


@needs_interpreter
def test_images_without_a_gradient_and_channels_last() -> None:
    module = stem_of("attention", 3, 8)
    images = torch.randn(2, 3, 4, 5)
    module.backend = "blocks"
    expected = attended(module, images)
    module.backend = "triton"
    found = attended(module, images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@needs_interpreter
def test_an_empty_batch() -> None:
    module = stem_of("attention", 3, 8)
    module.backend = "triton"
    output, *gradients = attended(module, torch.empty(0, 3, 5, 5).requires_grad_())
    assert output.shape == (0, 8, 5, 5)
    assert not any(gradient.any() for gradient in gradients)


@needs_interpreter
def test_second_derivatives_are_refused() -> None:
    module = stem_of("attention_stand_alone", 1, 8)
    module.backend = "triton"
    images = torch.randn(1, 1, 2, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(module(images).square().sum(), images, create_graph=True)
    with pytest.raises(RuntimeError, match="first derivatives only"):
        torch.autograd.grad(gradient.sum(), images)


@needs_interpreter
def test_it_is_one_operator_of_a_graph() -> None:
    torch._dynamo.reset()
    module = stem_of("attention", 3, 8)
    module.backend = "triton"
    images = torch.randn(1, 3, 3, 4)
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    assert isinstance(compiled, nn.Module)
    torch.testing.assert_close(
        torch.autograd.grad(compiled(images).square().sum(), [module.query.weight, module.mixture]),
        torch.autograd.grad(module(images).square().sum(), [module.query.weight, module.mixture]),
        rtol=1e-4,
        atol=1e-4,
    )
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(module, (images.repeat(2, 1, 1, 1),), dynamic_shapes=({0: batch},))
    assert [node.target for node in program.graph.nodes].count(OPERATOR) == 1
    images = torch.randn(3, 3, 3, 4)
    torch.testing.assert_close(program.module()(images), module(images))


@needs_interpreter
def test_the_operator_does_what_its_fake_kernel_says() -> None:
    inputs = (
        torch.randn(1, 2, 3, 2, requires_grad=True),
        *(torch.randn(2, 1, 4, requires_grad=True) for _ in range(2)),
        torch.randn(2, 4, 1, 4, requires_grad=True),
        torch.rand(16, 4, requires_grad=True),
        None,
        *(torch.randn(1, 7, 2, requires_grad=True) for _ in range(2)),
    )
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(OPERATOR, inputs, test_utils=checks)
    with FlopCounterMode(display=False) as counter:
        output = OPERATOR(*inputs)
    # 6 pixels of 3 projections, 4 components of values being 4, of 2 colours, and a block of 16 with 3 products.
    forward = 2 * (6 * (2 + 4) * 2 * 4 + 3 * 16 * 16 * 4)
    assert counter.get_total_flops() == forward
    with FlopCounterMode(display=False) as counter:
        output.sum().backward()
    assert counter.get_total_flops() == 2 * forward


def test_what_it_cannot_do_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    module = stem_of("attention", 3, 8)
    with pytest.raises(UserError, match=r"'numba'.*blocks"):
        module.backend = "numba"  # type: ignore[assignment]
        module(torch.randn(1, 3, 4, 4))
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    module.backend = "triton"
    with pytest.raises(UserError, match="run on CUDA, and the input is on cpu"):
        module(torch.randn(1, 3, 4, 4))
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with pytest.raises(UserError, match="images of up to 8 colours, not 9"):
        AttentionStem(9, 8, "attention", 1, backend="triton")(torch.randn(1, 9, 4, 4))
    wide = AttentionStem(3, 4 * 130, "attention", 1, backend="triton").to("meta")
    with pytest.raises(UserError, match="on meta"):
        wide(torch.empty(1, 3, 4, 4, device="meta"))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "case", [*CASES, ("attention", 3, 64, (9, 224, 224)), ("attention", 3, 512, (2, 30, 33))], ids=str
)
def test_equals_plain_torch_on_a_gpu(case: Case, dtype: torch.dtype) -> None:
    check("cuda", dtype, case)


@pytest.mark.gpu
def test_the_same_bits_every_time_on_a_gpu() -> None:
    module = stem_of("attention", 3, 64).cuda()
    module.backend = "triton"
    images = torch.randn(32, 3, 112, 112, device="cuda")
    with torch.autocast("cuda", dtype=torch.bfloat16):
        first = attended(module, images)
        for _ in range(5):
            assert all(map(torch.equal, first, attended(module, images)))
