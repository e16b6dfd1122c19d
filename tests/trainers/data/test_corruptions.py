"""Corruptions: fixed, stronger with severity, and what their names say."""

import numpy as np
import pytest
import torch
from torch import Tensor

from trainers.data.corruptions import CORRUPTIONS, SEVERITIES, CorruptedImages, corrupted
from trainers.data.images import MemoryImages


def picture(size: int, channels: int = 3) -> Tensor:
    """Smooth, with an edge, as photographs are."""
    line = torch.linspace(0, 1, size)
    smooth = 0.25 + 0.4 * torch.outer(line, line) + 0.2 * (line > 0.5).float()
    return torch.stack([smooth * (1 - 0.2 * channel) for channel in range(channels)]).mul(255).round().to(torch.uint8)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize(("size", "channels"), [(96, 3), (32, 3), (8, 1)])
def test_a_corruption_is_always_the_same_and_grows_with_severity(name: str, size: int, channels: int) -> None:
    image = picture(size, channels)
    found = [corrupted(image, name, severity) for severity in SEVERITIES]
    assert all(each.dtype == torch.uint8 and each.shape == image.shape for each in found)
    assert all(
        torch.equal(each, corrupted(image, name, severity)) for each, severity in zip(found, SEVERITIES, strict=True)
    )
    distances = [(each.float() - image.float()).abs().mean().item() for each in found]
    # What is pixelated may fall on other edges.
    assert distances[-1] > 0.5 and (distances[0] < distances[-1] or name == "pixelate")


def test_noise_has_the_strength_that_it_is_named_for() -> None:
    grey = torch.full((3, 128, 128), 128, dtype=torch.uint8)
    noise = (corrupted(grey, "gaussian_noise", 1).float() - 128) / 255
    assert noise.std().item() == pytest.approx(0.08, rel=0.03) and abs(noise.mean().item()) < 2e-3
    shot = corrupted(grey, "shot_noise", 1).float() / 255
    assert shot.std().item() == pytest.approx((0.5 / 60) ** 0.5, rel=0.03)
    impulse = corrupted(grey, "impulse_noise", 3)
    assert (impulse == 0).float().mean().item() == pytest.approx(0.045, rel=0.1)
    assert (impulse == 255).float().mean().item() == pytest.approx(0.045, rel=0.1)
    # Other images have other noise.
    assert not torch.equal(corrupted(grey, "gaussian_noise", 1) - 128, corrupted(grey + 1, "gaussian_noise", 1) - 129)


def test_what_is_no_noise_is_what_it_says() -> None:
    image = picture(96)
    contrast = corrupted(image, "contrast", 2).float()
    assert contrast[0].std().item() == pytest.approx(0.3 * image[0].float().std().item(), rel=0.05)
    assert contrast.mean((1, 2)).tolist() == pytest.approx(image.float().mean((1, 2)).tolist(), abs=0.6)
    brighter = corrupted(image, "brightness", 1).float()
    expected = (image.amax(0).float() / 255 + 0.1).clamp(max=1) * 255
    assert (brighter.amax(0) - expected).abs().max().item() <= 0.51
    pixelated = corrupted(image, "pixelate", 5)
    assert len(np.unique(pixelated[0].numpy(), axis=0)) <= 24
    point = torch.zeros(1, 97, 97, dtype=torch.uint8)
    point[0, 48, 48] = 255
    disk = corrupted(point, "defocus_blur", 1)[0]
    # A disk of radius 3 has 29 pixels.
    assert (disk > 4).sum().item() == 29 and disk[48, 45] > 0 and disk[48, 44] == 0
    assert torch.equal(disk, disk.T) and torch.equal(disk, disk.flip(0))


def test_a_split_is_corrupted_image_by_image_whatever_its_batches() -> None:
    images = torch.stack([picture(32), picture(32).flip(2), 255 - picture(32)])
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    data = MemoryImages(images, torch.tensor([2, 0, 1]), image_size=32, mean=mean, std=std)
    split = CorruptedImages(data, "gaussian_noise", 3, mean=mean, std=std)
    assert len(split) == 3
    cpu = torch.device("cpu")
    [(whole, labels)] = split.batches([torch.arange(3)], cpu)
    parts = [batch for batch, _ in split.batches([torch.tensor([2]), torch.tensor([0, 1])], cpu)]
    assert torch.equal(torch.cat(parts), whole[[2, 0, 1]]) and labels.tolist() == [2, 0, 1]
    pixels = (whole * torch.tensor(std)[:, None, None] + torch.tensor(mean)[:, None, None]) * 255
    expected = torch.stack([corrupted(image, "gaussian_noise", 3) for image in images]).float()
    assert (pixels - expected).abs().max().item() < 1e-3
