"""What is computed again for the gradients is what was computed before, to the bit, and is not kept meanwhile."""

from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from search_spaces.architecture import Attention, PositionalEncoding, Stem
from search_spaces.attention import layer as layers
from search_spaces.attention import stem as stems
from search_spaces.attention.layer import LocalSelfAttention
from search_spaces.attention.stem import AttentionStem

ENCODINGS = get_args(PositionalEncoding)


def _results(module: nn.Module, images_BCHW: Tensor, dtype: torch.dtype, *, image_gradient: bool) -> list[Tensor]:
    """The output, and the gradients of the images, if they are wanted, and of all weights."""
    module.zero_grad()
    images = images_BCHW.clone().requires_grad_(image_gradient)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        output = module(images)
    output.square().sum().backward()
    found = [parameter.grad for parameter in module.parameters()] + [images.grad] * image_gradient
    assert all(gradient is not None for gradient in found)
    return [output.detach(), *(gradient.clone() for gradient in found if gradient is not None)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("image_gradient", [True, False])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_layer_projects_again_to_the_same_bits(
    monkeypatch: pytest.MonkeyPatch, encoding: PositionalEncoding, image_gradient: bool, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    layer = LocalSelfAttention(16, 16, Attention(3, 2, encoding))
    images_BCHW = torch.randn(3, 16, 9, 7).contiguous(memory_format=torch.channels_last)
    found = _results(layer, images_BCHW, dtype, image_gradient=image_gradient)
    monkeypatch.setattr(layers, "recomputes", lambda *tensors: False)
    expected = _results(layer, images_BCHW, dtype, image_gradient=image_gradient)
    assert len(found) == len(expected) and all(map(torch.equal, found, expected))


@pytest.mark.skipif(torch.cuda.is_available(), reason="compiled for the GPU that is here")
@pytest.mark.parametrize("encoding", ["relative", "relative_only", "none"])
def test_so_does_one_that_the_triton_kernels_compute(
    monkeypatch: pytest.MonkeyPatch, encoding: PositionalEncoding
) -> None:
    pytest.importorskip("triton", reason="Triton is made for Linux on x86-64")
    torch.manual_seed(0)
    layer = LocalSelfAttention(4, 4, Attention(3, 2, encoding), backend="triton")
    images_BCHW = torch.randn(1, 4, 3, 2).contiguous(memory_format=torch.channels_last)
    found = _results(layer, images_BCHW, torch.float32, image_gradient=True)
    kept = _kept_bytes(layer, images_BCHW)
    monkeypatch.setattr(layers, "recomputes", lambda *tensors: False)
    expected = _results(layer, images_BCHW, torch.float32, image_gradient=True)
    assert len(found) == len(expected) and all(map(torch.equal, found, expected))
    # The logarithms of sums and embeddings and weights are kept, and of the features input and output.
    small = 4 * (6 * 2 + sum(parameter.numel() for parameter in layer.parameters()))
    assert kept == 2 * images_BCHW.nbytes + small


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("stem", [name for name in get_args(Stem) if name != "convolution"])
def test_a_stem_in_bands_equals_one_in_one_piece(
    monkeypatch: pytest.MonkeyPatch, stem: Stem, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    module = AttentionStem(3, 16, stem, 2)
    images_BCHW = torch.randn(2, 3, 83, 10)
    found = _results(module, images_BCHW, dtype, image_gradient=True)
    monkeypatch.setattr(stems, "BAND_ROWS", 1000)
    expected = _results(module, images_BCHW, dtype, image_gradient=True)
    for one, other in zip(found, expected, strict=True):
        # Sums over bands round otherwise than those over an image.
        assert (one - other).norm() <= (0.05 if dtype == torch.bfloat16 else 1e-5) * other.norm()


def _kept_bytes(module: nn.Module, images_BCHW: Tensor) -> int:
    kept = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = module(images_BCHW)
    del output
    return sum(kept.values())


def test_a_layer_keeps_its_input_and_a_stem_its_output() -> None:
    images_BCHW = torch.randn(2, 16, 32, 32).contiguous(memory_format=torch.channels_last).requires_grad_()
    layer = LocalSelfAttention(16, 16, Attention(3, 2, "relative"))
    assert images_BCHW.nbytes < _kept_bytes(layer, images_BCHW) < 1.2 * images_BCHW.nbytes
    images_BCHW = torch.randn(2, 3, 128, 128)
    output_bytes = 2 * 16 * 128**2 * 4
    # Batch norm keeps the output of the attention, and the pool which of its places are the largest.
    assert _kept_bytes(AttentionStem(3, 16, "attention", 4), images_BCHW) < 2.6 * output_bytes
