"""The family: shapes, initialisation, exports, and that deep attention networks train from the first epoch."""

import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from search_spaces.architecture import BLOCKS_OF_DEPTH, Architecture, Attention, Convolution, Operator, Stem
from search_spaces.bottleneck import Bottleneck
from search_spaces.paper_models import architecture_named
from search_spaces.resnet import ResNet, build, written_out

CONVOLUTION = Convolution()
RELATIVE = Attention(5, 2, "relative")
EVERY_KIND: dict[str, tuple[Stem, Operator]] = {
    "convolution": ("convolution", CONVOLUTION),
    "relative": ("convolution", RELATIVE),
    "absolute": ("convolution", Attention(3, 4, "absolute")),
    "none": ("convolution", Attention(3, 8, "none")),
    "relative_only": ("convolution", Attention(7, 1, "relative_only")),
    "attention stem": ("attention", RELATIVE),
    "stand-alone stem": ("attention_stand_alone", CONVOLUTION),
    "convolutional values": ("attention_convolutional_values", CONVOLUTION),
}
# An export takes seconds: every stem with stages that differ, so that every kind is in one of them.
OPERATORS = [operator for _, operator in EVERY_KIND.values()]
EVERY_STEM: dict[Stem, list[Operator]] = {
    "convolution": OPERATORS[1:5],
    "attention": [CONVOLUTION, *OPERATORS[1:4]],
    "attention_stand_alone": [*OPERATORS[2:5], CONVOLUTION],
    "attention_convolutional_values": [CONVOLUTION, OPERATORS[4], CONVOLUTION, RELATIVE],
}


def uniform(stem: Stem, operator: Operator, depth: int = 14, base_channels: int = 8) -> Architecture:
    return Architecture(stem, base_channels, tuple((operator,) * blocks for blocks in BLOCKS_OF_DEPTH[depth]))


def seeded(architecture: Architecture, image_size: int, **task: int) -> ResNet:
    torch.manual_seed(0)
    return build(architecture, image_size=image_size, **task)


@pytest.mark.parametrize("kind", EVERY_KIND)
@pytest.mark.parametrize("image_size", [8, 13, 32, 50, 100])
def test_every_kind_takes_every_size(kind: str, image_size: int) -> None:
    model = seeded(uniform(*EVERY_KIND[kind]), image_size, in_channels=2, classes=5).eval()
    with torch.no_grad():
        logits = model(torch.randn(2, 2, image_size, image_size))
    assert logits.shape == (2, 5) and logits.isfinite().all()


@pytest.mark.parametrize("operator", [CONVOLUTION, RELATIVE])
@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_a_strided_block_halves_upwards_whatever_is_in_it(operator: Operator, size: int) -> None:
    output = Bottleneck(12, 8, operator, stride=2)(torch.randn(2, 12, size, size))
    assert output.shape == (2, 32, -(-size // 2), -(-size // 2))


def test_a_strided_attention_runs_before_its_pool() -> None:
    """Attention at the input's resolution, then a 2×2 average: not the other way round."""
    torch.manual_seed(0)
    block = Bottleneck(8, 8, RELATIVE, stride=2).eval()
    assert isinstance(block.centre, nn.Sequential)
    attention, pool = block.centre
    hidden = torch.randn(1, 8, 6, 6)
    attended = attention(hidden)
    expected = attended.unflatten(2, (3, 2)).unflatten(4, (3, 2)).mean((3, 5))
    torch.testing.assert_close(block.centre(hidden), expected)
    assert not torch.allclose(attention(pool(hidden)), expected)


@pytest.mark.parametrize("in_channels", [1, 4, 8, 15, 16, 24])
@pytest.mark.parametrize("size", [1, 6, 9])
def test_a_strided_shortcut_is_the_strided_convolution(in_channels: int, size: int) -> None:
    torch.manual_seed(0)
    shortcut = Bottleneck(in_channels, 5, CONVOLUTION, stride=2).double().shortcut
    assert isinstance(shortcut, nn.Sequential)
    projection = shortcut[0]
    assert isinstance(projection, nn.Conv2d)
    features = torch.randn(3, in_channels, size, size, dtype=torch.float64, requires_grad=True)
    inputs = [features, projection.weight]
    found, expected = projection(features), F.conv2d(features, projection.weight, stride=2)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        torch.autograd.grad(found.square().sum(), inputs), torch.autograd.grad(expected.square().sum(), inputs)
    )


TRAIN_NARROW = """
import sys
import torch
from search_spaces.bottleneck import Bottleneck
from search_spaces.architecture import Convolution
channels, size, threads = map(int, sys.argv[1:])
torch.set_num_threads(threads)
torch.manual_seed(0)
block = Bottleneck(channels, 2 * channels, Convolution(), stride=2).to(memory_format=torch.channels_last)
projection = block.shortcut[0]
for _ in range(8):
    features = torch.randn(16, channels, size, size).to(memory_format=torch.channels_last)
    found, = torch.autograd.grad(projection(features).square().mean(), [projection.weight])
    weight = projection.weight.detach().double().requires_grad_()
    output = torch.einsum("oi,bihw->bohw", weight[:, :, 0, 0], features[:, :, ::2, ::2].double())
    expected, = torch.autograd.grad(output.square().mean(), [weight])
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)
"""


@pytest.mark.parametrize(("channels", "size"), [(4, 128), (8, 64), (12, 112)])
@pytest.mark.parametrize("threads", [1, 2])
def test_narrow_networks_train_on_a_cpu(channels: int, size: int, threads: int) -> None:
    """Where oneDNN's strided convolutions write past their memory: in a process of its own, which that would end."""
    command = [sys.executable, "-c", TRAIN_NARROW, *map(str, (channels, size, threads))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_stems_reduce_by_the_size_of_the_image() -> None:
    for stem in ("convolution", "attention"):
        for image_size, reduced in ((16, 16), (32, 32), (64, 32), (224, 56)):
            model = seeded(uniform(stem, CONVOLUTION), image_size)
            assert model.stem(torch.randn(1, 3, image_size, image_size)).shape[-2:] == (reduced, reduced)


@pytest.mark.parametrize("depth", [26, 38, 50])
def test_each_block_starts_as_its_shortcut(depth: int) -> None:
    """The last batch norm of a block starts at zero, so at first the block adds nothing."""
    model = seeded(uniform("attention", Attention(7, 2, "relative"), depth), 16, in_channels=1, classes=10)
    blocks = [module for module in model.modules() if isinstance(module, Bottleneck)]
    assert len(blocks) == sum(BLOCKS_OF_DEPTH[depth])
    for block in blocks:
        first = block.reduce[0]
        assert isinstance(first, nn.Conv2d)
        features = torch.randn(2, first.in_channels, 4, 4)
        torch.testing.assert_close(block(features), block.shortcut(features).relu())


@pytest.mark.parametrize("name", ["resnet50", "resnet50-attention"])
def test_the_papers_models_are_built_as_described(name: str) -> None:
    with torch.device("meta"):
        model = build(architecture_named(name), image_size=224)
        assert model(torch.empty(2, 3, 224, 224)).shape == (2, 1000)
        assert [len(list(stage.children())) for stage in model.stages] == [3, 4, 6, 3]


def test_weights_follow_from_the_seed() -> None:
    one, other = (seeded(uniform("attention", RELATIVE), 16) for _ in range(2))
    for first, second in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize(
    "stem",
    # All operators are in the two others.
    [
        *("attention", "attention_convolutional_values"),
        *(pytest.param(stem, marks=pytest.mark.slow) for stem in ("convolution", "attention_stand_alone")),
    ],
)
def test_exports_agree_with_eager(stem: Stem, tmp_path: Path) -> None:
    architecture = Architecture(stem, 8, tuple((operator,) for operator in EVERY_STEM[stem]))
    model = seeded(architecture, 16, in_channels=1, classes=10)
    images = torch.randn(4, 1, 16, 16)
    for _ in range(3):
        model(images)  # batch norms with statistics of their own
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)  # and blocks that add something
    model.eval()
    with torch.no_grad():
        expected = model(images)
    assert expected.std() > 1e-3
    exported = torch.export.export(model, (images,))
    torch.testing.assert_close(exported.module()(images), expected, rtol=1e-4, atol=1e-4)
    path = tmp_path / "model.onnx"
    torch.onnx.export(model, (images,), path, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    torch.testing.assert_close(torch.from_numpy(output), expected, rtol=1e-4, atol=1e-4)


def test_what_is_exported_for_others_holds_no_operator_of_ours() -> None:
    model = seeded(uniform("convolution", RELATIVE), 16, in_channels=1, classes=10).eval()
    images = torch.randn(4, 1, 16, 16)
    batch = ({0: torch.export.Dim("batch", min=1)},)
    with written_out(model):
        program = torch.export.export(model, (images,), dynamic_shapes=batch)
    assert "local_attention" not in str(program.graph)
    assert "local_attention" in str(torch.export.export(model, (images,)).graph)
    larger = torch.randn(5, 1, 16, 16)
    torch.testing.assert_close(program.module()(larger), model(larger), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stem", ["convolution", "attention"])
def test_deep_attention_networks_train_from_the_first_steps(stem: Stem) -> None:
    """A ResNet-50 of attention alone tells four patterns apart after a few steps."""
    torch.manual_seed(0)
    model = build(uniform(stem, Attention(3, 2, "relative"), 50), image_size=8, in_channels=1, classes=4)
    patterns = torch.randn(4, 1, 8, 8)
    labels = torch.arange(4).repeat(8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for _ in range(12):
        loss = nn.functional.cross_entropy(model(patterns[labels] + 0.1 * torch.randn(32, 1, 8, 8)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
