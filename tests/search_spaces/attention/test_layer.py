"""The layer: what the paper's must do, its FLOPs, exports and precision."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from search_spaces.architecture import POSITIONAL_ENCODINGS, Attention, PositionalEncoding
from search_spaces.attention.dispatch import Backend, local_attention
from search_spaces.attention.layer import LocalSelfAttention
from search_spaces.attention.positional import sinusoidal_encoding
from tests.support.attention_oracle import loop_attention


def layer_of(
    encoding: PositionalEncoding, *, channels: int = 16, heads: int = 4, extent: int = 5, backend: Backend = "auto"
) -> LocalSelfAttention:
    torch.manual_seed(1)
    layer = LocalSelfAttention(channels, channels, Attention(extent, heads, encoding), backend=backend)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    return layer


@pytest.mark.parametrize("encoding", POSITIONAL_ENCODINGS)
def test_layer_is_its_projections_and_the_equation(encoding: PositionalEncoding) -> None:
    layer = layer_of(encoding, channels=8, heads=2).double()
    image = torch.randn(2, 8, 5, 6, dtype=torch.float64)
    seen = image
    if encoding == "absolute":
        seen = image + sinusoidal_encoding(5, 6, 8, device=image.device, dtype=image.dtype).permute(2, 0, 1)

    def projected(projection: nn.Module | None) -> Tensor | None:
        if projection is None:
            return None
        weight = next(projection.parameters())[:, :, 0, 0]
        return torch.einsum("oc,bchw->bhwo", weight, seen).unflatten(-1, (2, 4))

    query, key, value = (projected(projection) for projection in (layer.query, layer.key, layer.value))
    assert query is not None and value is not None
    with torch.no_grad():
        expected = loop_attention(query, key, value, layer.row, layer.column, 5).flatten(-2).permute(0, 3, 1, 2)
    torch.testing.assert_close(layer(image), expected)


@pytest.mark.parametrize("backend", ["reference", "blocks", "numba"])
class TestProperties:
    """What holds for a right layer (arXiv 1906.05909), and fails for the usual mistakes."""

    def test_without_queries_it_is_the_mean_of_the_values(self, backend: Backend) -> None:
        layer = layer_of("relative", backend=backend)
        nn.init.zeros_(layer.query.weight)
        image = torch.randn(2, 16, 9, 8)
        value = layer.value(image)
        expected = nn.functional.avg_pool2d(value, 5, stride=1, padding=2, count_include_pad=False)
        torch.testing.assert_close(layer(image), expected)

    def test_the_number_of_heads_changes_the_output(self, backend: Backend) -> None:
        image = torch.randn(1, 16, 6, 6)
        few, many = layer_of("none", heads=2, backend=backend), layer_of("none", heads=8, backend=backend)
        many.load_state_dict(few.state_dict())
        assert (few(image) - many(image)).abs().amax() > 0.01

    def test_a_heads_values_reach_its_own_channels_only(self, backend: Backend) -> None:
        layer = layer_of("relative", backend=backend)
        image = torch.randn(1, 16, 6, 6)
        before = layer(image)
        with torch.no_grad():
            layer.value.weight[4:8] += 1
        changed = (layer(image) - before).abs().amax((0, 2, 3)) > 1e-6
        assert changed.tolist() == [4 <= channel < 8 for channel in range(16)]

    @pytest.mark.parametrize("axis", ["row", "column"])
    def test_every_head_responds_to_both_axes(self, backend: Backend, axis: str) -> None:
        layer = layer_of("relative_only", backend=backend)
        image = torch.randn(1, 16, 6, 6)
        before = layer(image)
        embedding = getattr(layer, axis)
        with torch.no_grad():
            embedding.copy_(embedding.flip(1))
        change = (layer(image) - before).unflatten(1, (4, 4)).abs().amax((0, 2, 3, 4))
        assert (change > 0.01).all()

    def test_translation_equivariant_away_from_the_border(self, backend: Backend) -> None:
        layer = layer_of("relative", backend=backend)
        image = torch.randn(1, 16, 14, 14)
        shifted = layer(image.roll((2, 1), (2, 3)))
        here, there = (slice(None), slice(None), slice(4, 10), slice(4, 10)), (..., slice(2, 8), slice(3, 9))
        torch.testing.assert_close(shifted[here], layer(image)[there])

    def test_positions_matter_only_with_an_encoding(self, backend: Backend) -> None:
        image = torch.randn(1, 16, 3, 3)
        turned = image.flip(2, 3)
        without = layer_of("none", backend=backend)
        torch.testing.assert_close(without(turned).flip(2, 3), without(image))
        for encoding in ("absolute", "relative", "relative_only"):
            layer = layer_of(encoding, backend=backend)
            assert (layer(turned).flip(2, 3) - layer(image)).abs().amax() > 0.01

    def test_the_border_is_masked_and_not_zero_padding(self, backend: Backend) -> None:
        layer = layer_of("relative", backend=backend)
        image = torch.randn(1, 16, 6, 6)
        padded = layer(nn.functional.pad(image, (2, 2, 2, 2)))[:, :, 2:-2, 2:-2]
        difference = (layer(image) - padded).abs().amax((0, 1))
        assert difference[2:4, 2:4].amax() < 1e-5
        assert difference[0].amin() > 1e-3

    def test_a_pixel_reaches_its_neighbourhood_and_no_further(self, backend: Backend) -> None:
        layer = layer_of("relative", backend=backend)
        image = torch.randn(1, 16, 12, 13, requires_grad=True)
        (gradient,) = torch.autograd.grad(layer(image)[0, :, 5, 6].sum(), image)
        reached = (gradient[0].abs().amax(0) > 0).tolist()
        assert reached == [[abs(y - 5) <= 2 and abs(x - 6) <= 2 for x in range(13)] for y in range(12)]


@pytest.mark.parametrize("encoding", POSITIONAL_ENCODINGS)
def test_flops_are_those_of_the_equation(encoding: PositionalEncoding) -> None:
    """2 · K² · C · H · W for each of q·k, q·r and the weighted sum, borders in full, whatever would compute them."""
    layer = layer_of(encoding)
    products = {"none": 2, "absolute": 2, "relative": 3, "relative_only": 2}[encoding]
    projections = 2 if encoding == "relative_only" else 3
    for device in ("cpu", "meta"):
        layer = layer.to(device)
        with FlopCounterMode(display=False) as counter:
            layer(torch.empty(1, 16, 6, 7, device=device))
        assert counter.get_total_flops() == 2 * 42 * 16 * (projections * 16 + products * 25)


@pytest.mark.parametrize("encoding", POSITIONAL_ENCODINGS)
def test_layer_exports(encoding: PositionalEncoding) -> None:
    layer = layer_of(encoding).eval()
    image = torch.randn(2, 16, 6, 7)
    program = torch.export.export(layer, (image,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    larger = torch.randn(3, 16, 6, 7)
    torch.testing.assert_close(program.module()(larger), layer(larger), rtol=1e-4, atol=1e-4)


def test_layer_traces() -> None:
    layer = layer_of("relative").eval()
    image = torch.randn(2, 16, 6, 7)
    torch.testing.assert_close(torch.jit.trace(layer, image)(image), layer(image), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backend", ["reference", "blocks", "numba"])
@pytest.mark.parametrize("encoding", POSITIONAL_ENCODINGS)
def test_autocast_keeps_the_softmax_accurate(backend: Backend, encoding: PositionalEncoding) -> None:
    layer = layer_of(encoding, backend=backend)
    image = torch.randn(2, 16, 7, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = layer(image)
        query, value = layer.query(image), layer.value(image)
    assert output.dtype == torch.bfloat16
    output.float().square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in layer.parameters())
    if encoding == "none":
        # What is left is the rounding of bfloat16's own inputs and output: the weights still sum to one.
        ones = torch.ones_like(value.permute(0, 2, 3, 1).unflatten(-1, (4, 4)))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            sums = local_attention(query.permute(0, 2, 3, 1).unflatten(-1, (4, 4)), ones, ones, spatial_extent=5)
        assert (sums - 1).abs().max() <= 0.004


@pytest.mark.parametrize("backend", ["reference", "blocks", "numba"])
def test_layer_takes_channels_last(backend: Backend) -> None:
    layer = layer_of("relative", backend=backend)
    image = torch.randn(2, 16, 7, 6)
    torch.testing.assert_close(layer(image.to(memory_format=torch.channels_last)), layer(image))


def test_representation_names_the_backend() -> None:
    assert "A5×4r, backend=blocks" in repr(layer_of("relative", backend="blocks"))
