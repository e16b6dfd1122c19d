"""The attention stem: its blocks, its mixtures of values and its variants, against loops over pixels."""

import math

import pytest
import torch
from torch import Tensor

from search_spaces.architecture import STEM_HEADS, STEM_MIXTURES, STEM_WINDOW, STEMS, Stem
from search_spaces.attention.stem import AttentionStem
from tests.support.present import present

ATTENTION_STEMS = [stem for stem in STEMS if stem != "convolution"]
OWN_BLOCK_STEMS = [stem for stem in ATTENTION_STEMS if stem != "attention_convolutional_values"]


def stem_of(stem: Stem, *, in_channels: int = 3, channels: int = 16, stride: int = 1) -> AttentionStem:
    torch.manual_seed(3)
    module = AttentionStem(in_channels, channels, stem, stride).double().eval()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if not name.startswith("norm"):
                parameter.normal_()
    # The batch norm of an untrained stem, in evaluation, divides by the square root of 1 + eps and does nothing else.
    module.norm.eps = 0
    return module


def loop_mixture(stem: AttentionStem, a: int, b: int) -> list[float]:
    """p(a, b, m): softmax over m of (emb_row(a) + emb_col(b)) · ν_m."""
    logits = [float((stem.mixture_row[a] + stem.mixture_column[b]) @ stem.mixture[m]) for m in range(STEM_MIXTURES)]
    return [math.exp(logit) / sum(map(math.exp, logits)) for logit in logits]


def loop_value(stem: AttentionStem, image: Tensor, y: int, x: int) -> Tensor:
    """The value of one pixel of one image (C_in, H, W), all heads: (C_out,)."""
    weight = stem.value.weight
    if stem.stem == "attention_convolutional_values":
        value = torch.zeros(weight.shape[0], dtype=image.dtype)
        for i in range(STEM_WINDOW):
            for j in range(STEM_WINDOW):
                # One pixel before and two after: a 4×4 window has no centre.
                if 0 <= y + i - 1 < image.shape[1] and 0 <= x + j - 1 < image.shape[2]:
                    value += weight[:, :, i, j] @ image[:, y + i - 1, x + j - 1]
        return value
    values = weight[:, :, 0, 0] @ image[:, y, x]
    if stem.stem == "attention_stand_alone":
        return values
    channels = len(values) // STEM_MIXTURES // STEM_HEADS
    mixed = torch.zeros(STEM_HEADS, channels, dtype=image.dtype)
    for m, share in enumerate(loop_mixture(stem, y % STEM_WINDOW, x % STEM_WINDOW)):
        mixed += share * values.view(STEM_HEADS, STEM_MIXTURES, channels)[:, m]
    return mixed.flatten()


def loop_stem(stem: AttentionStem, images: Tensor) -> Tensor:
    """The stem without its norm and pool, pixel by pixel."""
    batch, _, height, width = images.shape
    channels = stem.query.out_channels
    depth = channels // STEM_HEADS
    output = torch.zeros(batch, channels, height, width, dtype=images.dtype)
    query_weight, key_weight = stem.query.weight[:, :, 0, 0], stem.key.weight[:, :, 0, 0]
    for image, y, x in ((i, y, x) for i in range(batch) for y in range(height) for x in range(width)):
        query = query_weight @ images[image, :, y, x]
        top, left = y // STEM_WINDOW * STEM_WINDOW, x // STEM_WINDOW * STEM_WINDOW
        places = [
            (a, b)
            for a in range(top, min(top + STEM_WINDOW, height))
            for b in range(left, min(left + STEM_WINDOW, width))
        ]  # fmt: skip
        keys = [key_weight @ images[image, :, a, b] for a, b in places]
        values = [loop_value(stem, images[image], a, b) for a, b in places]
        for head in range(STEM_HEADS):
            of_head = slice(head * depth, (head + 1) * depth)
            terms = []
            for (a, b), key in zip(places, keys, strict=True):
                row, column = stem.row[head, a - y + STEM_WINDOW - 1], stem.column[head, b - x + STEM_WINDOW - 1]
                terms.append(math.exp(float(query[of_head] @ (key[of_head] + torch.cat([row, column])))))
            for term, value in zip(terms, values, strict=True):
                output[image, of_head, y, x] += term / sum(terms) * value[of_head]
    return output


@pytest.mark.parametrize("stem", ATTENTION_STEMS)
@pytest.mark.parametrize("size", [(8, 4), (5, 7), (3, 2)])
def test_equals_loops_over_pixels(stem: Stem, size: tuple[int, int]) -> None:
    module = stem_of(stem)
    images = 0.5 * torch.randn(2, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(module(images), loop_stem(module, images), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("stem", ATTENTION_STEMS)
def test_gradients_are_those_of_finite_differences(stem: Stem) -> None:
    module = stem_of(stem, in_channels=1, channels=8)
    images = torch.randn(1, 1, 5, 3, dtype=torch.float64, requires_grad=True)
    parameters = [parameter for name, parameter in module.named_parameters() if not name.startswith("norm")]
    assert torch.autograd.gradcheck(lambda images, *_: module(images), (images, *parameters))


@pytest.mark.parametrize("stem", ATTENTION_STEMS)
def test_what_a_pixel_reaches(stem: Stem) -> None:
    """Its own 4×4 block and no more; values by convolution see 1 pixel further up and left, 2 down and right."""
    images = torch.randn(1, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(stem_of(stem)(images)[0, :, 6, 9].sum(), images)
    reached = gradient[0].abs().amax(0) > 1e-12
    before, after = (0, 0) if stem in OWN_BLOCK_STEMS else (1, 2)
    expected = torch.zeros(16, 16, dtype=torch.bool)
    expected[4 - before : 8 + after, 8 - before : 12 + after] = True
    assert torch.equal(reached, expected)


@pytest.mark.parametrize("stem", OWN_BLOCK_STEMS)
def test_padding_takes_no_part(stem: Stem) -> None:
    """An image of 6×5 pixels gives what lies in the larger image, in the blocks that it holds in full."""
    module = stem_of(stem)
    images = torch.randn(1, 3, 8, 8, dtype=torch.float64)
    small = module(images[:, :, :6, :5])
    assert small.shape == (1, 16, 6, 5)
    torch.testing.assert_close(small[:, :, :4, :4], module(images)[:, :, :4, :4])
    assert (small[:, :, 4:] - module(images)[:, :, 4:6, :5]).abs().max() > 1e-3


def test_mixture_weights_are_shared_by_the_heads_and_sum_to_one() -> None:
    module = stem_of("attention")
    with torch.no_grad():
        weights = module.mixture_weights()
        assert weights.shape == (STEM_WINDOW**2, STEM_MIXTURES)
        torch.testing.assert_close(weights.sum(-1), torch.ones(STEM_WINDOW**2, dtype=torch.float64))
        for a in range(STEM_WINDOW):
            for b in range(STEM_WINDOW):
                assert weights[a * STEM_WINDOW + b].tolist() == pytest.approx(loop_mixture(module, a, b), rel=1e-9)


def test_equal_components_make_the_mixture_a_plain_value() -> None:
    mixed, plain = stem_of("attention"), stem_of("attention_stand_alone")
    for name in ("query", "key", "row", "column"):
        target, source = getattr(mixed, name), getattr(plain, name)
        (target if isinstance(target, Tensor) else target.weight).data.copy_(
            source if isinstance(source, Tensor) else source.weight
        )
    with torch.no_grad():
        repeated = plain.value.weight.view(STEM_HEADS, 1, 4, 3, 1, 1).expand(-1, STEM_MIXTURES, -1, -1, -1, -1)
        mixed.value.weight.copy_(repeated.reshape(mixed.value.weight.shape))
        images = torch.randn(1, 3, 8, 8, dtype=torch.float64)
        torch.testing.assert_close(mixed(images), plain(images))


@pytest.mark.parametrize("stem", ATTENTION_STEMS)
@pytest.mark.parametrize(("stride", "size"), [(1, 9), (2, 9), (4, 9), (4, 8)])
def test_pools_after_the_norm(stem: Stem, stride: int, size: int) -> None:
    module = stem_of(stem, stride=stride)
    images = torch.randn(2, 3, size, size, dtype=torch.float64)
    with torch.no_grad():
        module.norm.weight.copy_(torch.linspace(-1, 1, 16))
        output = module(images)
        expected = loop_stem(module, images) * module.norm.weight[:, None, None]
    side = -(-size // stride)
    assert output.shape == (2, 16, side, side)
    windows = [slice(i * stride, (i + 1) * stride) for i in range(side)]
    pooled = torch.stack([torch.stack([expected[:, :, i, j].amax((-1, -2)) for j in windows], -1) for i in windows], -2)
    torch.testing.assert_close(output, pooled)


@pytest.mark.parametrize("stem", ATTENTION_STEMS)
def test_autocast_and_channels_last(stem: Stem) -> None:
    module = stem_of(stem).float()
    images = 0.2 * torch.randn(2, 3, 8, 8)
    expected = module(images)
    torch.testing.assert_close(module(images.to(memory_format=torch.channels_last)), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = module(images)
    torch.testing.assert_close(output.float(), expected, rtol=0.05, atol=0.05)


def test_softmax_stays_accurate_under_autocast() -> None:
    """With equal values the weighted sum is the value itself, to the rounding of bfloat16, whatever the logits are."""
    module = stem_of("attention_stand_alone").float()
    module.value = torch.nn.Conv2d(3, 16, 1)
    torch.nn.init.zeros_(module.value.weight)
    torch.nn.init.constant_(present(module.value.bias), 1.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = module(3 * torch.randn(4, 3, 16, 16))
    assert (output - 1).abs().max() <= 2**-8
