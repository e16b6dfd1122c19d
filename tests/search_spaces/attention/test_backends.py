"""Every fast backend against the reference."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.attention.dispatch import Backend, local_attention
from tests.support.attention import FAST, output_and_gradients, random_inputs
from tests.support.present import present

TOLERANCE = {torch.float64: 1e-11, torch.float32: 2e-5, torch.bfloat16: 0.04}


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("dtype", TOLERANCE)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    batch=st.integers(1, 5),
    height=st.sampled_from([1, 2, 3, 5, 7, 8, 9, 14, 17, 33, 36]),
    width=st.sampled_from([1, 2, 3, 5, 7, 8, 9, 14, 17]),
    heads=st.sampled_from([1, 2, 3, 5, 8]),
    half=st.sampled_from([1, 2, 3, 4, 8]),
    extent=st.sampled_from([1, 3, 5, 7, 11]),
    encoding=st.sampled_from(["none", "relative", "relative_only"]),
    layout=st.sampled_from(["channels first", "channels last", "slice"]),
)
def test_equals_the_reference(
    backend: Backend,
    dtype: torch.dtype,
    batch: int,
    height: int,
    width: int,
    heads: int,
    half: int,
    extent: int,
    encoding: str,
    layout: str,
) -> None:
    inputs = random_inputs((batch, height, width, heads, 2 * half), extent, encoding, dtype, layout)
    expected = output_and_gradients(inputs, extent, "reference")
    for found, right in zip(output_and_gradients(inputs, extent, backend), expected, strict=True):
        # Sums of many terms that cancel are compared on the scale of the tensor.
        tolerance = TOLERANCE[dtype] * max(1.0, float(right.abs().max()))
        torch.testing.assert_close(found, right, rtol=0, atol=tolerance)


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("depth", [1, 3, 5])
def test_odd_channels_a_head(backend: Backend, depth: int) -> None:
    inputs = random_inputs((2, 5, 6, 3, depth), 3, "none", torch.float32, "channels last")
    expected = output_and_gradients(inputs, 3, "reference")
    for found, right in zip(output_and_gradients(inputs, 3, backend), expected, strict=True):
        torch.testing.assert_close(found, right, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", FAST)
def test_large_logits(backend: Backend) -> None:
    inputs = random_inputs((1, 6, 6, 2, 8), 3, "relative", torch.float32, "channels last")
    with torch.no_grad():
        inputs[0].mul_(100)
    expected = output_and_gradients(inputs, 3, "reference")
    for found, right in zip(output_and_gradients(inputs, 3, backend), expected, strict=True):
        torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("backend", FAST)
def test_what_is_not_a_number_is_not_hidden(backend: Backend) -> None:
    inputs = random_inputs((1, 5, 5, 1, 4), 3, "none", torch.float32, "channels last")
    with torch.no_grad():
        present(inputs[1])[0, 0, 0] = torch.nan
    output = local_attention(*inputs, spatial_extent=3, backend=backend)
    assert output[0, :2, :2].isnan().all()


@pytest.mark.parametrize("backend", FAST)
def test_expanded_gradient_and_unused_inputs(backend: Backend) -> None:
    inputs = random_inputs((2, 5, 5, 2, 4), 3, "relative", torch.float32, "channels last")
    query, row = inputs[0], present(inputs[3])
    found, expected = (
        torch.autograd.grad(
            local_attention(*inputs, spatial_extent=3, backend=chosen).sum(),
            [query, row],
        )
        for chosen in (backend, "reference")
    )
    torch.testing.assert_close(found, expected)


def test_an_empty_batch() -> None:
    inputs = random_inputs((0, 5, 5, 2, 4), 3, "relative", torch.float32, "channels last")
    output, *gradients = output_and_gradients(inputs, 3, "auto")
    assert output.shape == (0, 5, 5, 2, 4)
    assert not gradients[3].any()
