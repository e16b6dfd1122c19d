"""Positions said to attention: sinusoids and the embeddings of relative offsets."""

import math

import pytest
import torch

from search_spaces.attention.positional import relative_embeddings, sinusoidal_encoding


@pytest.mark.parametrize(("height", "width", "channels"), [(3, 5, 8), (4, 1, 6), (1, 2, 7), (2, 2, 1), (5, 5, 2)])
def test_sinusoids_by_the_formula(height: int, width: int, channels: int) -> None:
    encoding = sinusoidal_encoding(height, width, channels, device=torch.device("cpu"), dtype=torch.float64)
    assert encoding.shape == (height, width, channels)
    rows = channels // 2

    def sinusoid(position: int, channel: int, count: int) -> float:
        angle = position / 10000 ** (channel // 2 / math.ceil(count / 2))
        return math.cos(angle) if channel % 2 else math.sin(angle)

    for y in range(height):
        for x in range(width):
            expected = [sinusoid(y, channel, rows) for channel in range(rows)]
            expected += [sinusoid(x, channel, channels - rows) for channel in range(channels - rows)]
            assert encoding[y, x].tolist() == pytest.approx(expected, abs=1e-6)


def test_sinusoids_tell_every_pixel_apart() -> None:
    encoding = sinusoidal_encoding(14, 14, 64, device=torch.device("cpu"), dtype=torch.float32).flatten(0, 1)
    distances = torch.cdist(encoding, encoding) + 10 * torch.eye(14 * 14)
    assert distances.min() > 0.1


def test_sinusoids_take_dtype_and_device() -> None:
    encoding = sinusoidal_encoding(2, 3, 4, device=torch.device("meta"), dtype=torch.bfloat16)
    assert encoding.dtype == torch.bfloat16 and encoding.is_meta


def test_relative_embeddings_hold_row_then_column_in_every_head() -> None:
    row, column = torch.randn(3, 5, 2), torch.randn(3, 5, 2)
    relative = relative_embeddings(row, column)
    assert relative.shape == (3, 5, 5, 4)
    for head in range(3):
        for a in range(5):
            for b in range(5):
                assert torch.equal(relative[head, a, b], torch.cat([row[head, a], column[head, b]]))
