"""Images as they come from bad cameras and files, to measure how robust a network is. Fixed: nothing is drawn anew.

Eight of the fifteen corruptions of Hendrycks and Dietterich (arXiv 1903.12261, ImageNet-C), at their five severities
each: those of ImageNet-C, and for images of up to 64 pixels those of CIFAR-10-C. Written anew, on what the network is
given: numbers are alike in kind, and not those of the published files of images. Noise follows from the image itself.

Shapes: B batch, C channels, H height, W width.
"""

import io
import math
import zlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from trainers.data.augmentation import Augmentation
from trainers.data.images import Images, normalise

SEVERITIES = (1, 2, 3, 4, 5)
SMALL = 64

# Of each severity the strength, of large images and of small ones.
_STRENGTHS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "gaussian_noise": ((0.08, 0.12, 0.18, 0.26, 0.38), (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot_noise": ((60, 25, 12, 5, 3), (500, 250, 100, 75, 50)),
    "impulse_noise": ((0.03, 0.06, 0.09, 0.17, 0.27), (0.01, 0.02, 0.03, 0.05, 0.07)),
    "defocus_blur": ((3, 4, 6, 8, 10), (0.3, 0.4, 0.5, 1, 1.5)),
    "brightness": ((0.1, 0.2, 0.3, 0.4, 0.5), (0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": ((0.4, 0.3, 0.2, 0.1, 0.05), (0.75, 0.5, 0.4, 0.3, 0.15)),
    "pixelate": ((0.6, 0.5, 0.4, 0.3, 0.25), (0.95, 0.9, 0.85, 0.75, 0.65)),
    "jpeg_compression": ((25, 18, 15, 10, 7), (80, 65, 58, 50, 40)),
}
CORRUPTIONS = tuple(_STRENGTHS)
# By how much the rim of the disk is softened, by severity.
_SOFTENED = ((0.1, 0.5, 0.5, 0.5, 0.5), (0.4, 0.5, 0.6, 0.2, 0.1))


class CorruptedImages:
    """A split whose images are corrupted before they are normalised by `mean` and `std`, each channel's."""

    def __init__(
        self, images: Images, name: str, severity: int, *, mean: tuple[float, ...], std: tuple[float, ...]
    ) -> None:
        self.images, self.name, self.severity = images, name, severity
        self.mean, self.std = mean, std

    def __len__(self) -> int:
        return len(self.images)

    def batches(
        self, indices: Iterable[Tensor], device: torch.device, augmentation: Augmentation | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        for images_BCHW, labels_B in self.images.batches(indices, device, augmentation):
            mean_C11, std_C11 = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
            pixels_BCHW = (images_BCHW.cpu() * std_C11 + mean_C11).mul(255).round_().clamp_(0, 255).to(torch.uint8)
            corrupted_BCHW = torch.stack([corrupted(each, self.name, self.severity) for each in pixels_BCHW])
            yield normalise(corrupted_BCHW.to(device), self.mean, self.std), labels_B


def corrupted(pixels_CHW: Tensor, name: str, severity: int) -> Tensor:
    """An image of 8 bits, one of its corruptions: always the same of the same image."""
    is_small = max(pixels_CHW.shape[-2:]) <= SMALL
    strength = _STRENGTHS[name][is_small][severity - 1]
    if name == "jpeg_compression":
        return _jpeg(pixels_CHW, int(strength))
    image_CHW = pixels_CHW.float() / 255
    if name == "defocus_blur":
        found = _blurred(image_CHW, strength, _SOFTENED[is_small][severity - 1])
    else:
        key = f"{name} {severity}".encode() + pixels_CHW.contiguous().numpy().tobytes()
        found = _SIMPLE[name](image_CHW, strength, torch.Generator().manual_seed(zlib.crc32(key)))
    return found.clamp(0, 1).mul(255).round().to(torch.uint8)


def _gaussian_noise(image_CHW: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    return image_CHW + deviation * torch.randn(image_CHW.shape, generator=generator)


def _shot_noise(image_CHW: Tensor, photons: float, generator: torch.Generator) -> Tensor:
    return torch.poisson(image_CHW * photons, generator=generator) / photons


def _impulse_noise(image_CHW: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Half of the values that are hit become black, half white."""
    draw_CHW = torch.rand(image_CHW.shape, generator=generator)
    salted = torch.where(draw_CHW < share / 2, torch.ones_like(image_CHW), image_CHW)
    return torch.where(draw_CHW >= 1 - share / 2, torch.zeros_like(image_CHW), salted)


def _brightness(image_CHW: Tensor, added: float, generator: torch.Generator) -> Tensor:
    """More of the value of hue, saturation and value: the largest channel."""
    value_1HW = image_CHW.amax(0, keepdim=True)
    brighter_1HW = (value_1HW + added).clamp(max=1)
    # Black has no hue, and becomes grey.
    return torch.where(value_1HW > 0, image_CHW * brighter_1HW / value_1HW.clamp(min=1e-6), brighter_1HW)


def _contrast(image_CHW: Tensor, kept: float, generator: torch.Generator) -> Tensor:
    mean_C11 = image_CHW.mean((1, 2), keepdim=True)
    return (image_CHW - mean_C11) * kept + mean_C11


def _pixelate(image_CHW: Tensor, share: float, generator: torch.Generator) -> Tensor:
    height, width = image_CHW.shape[1:]
    smaller = F.interpolate(image_CHW[None], (int(height * share), int(width * share)), mode="area")
    return F.interpolate(smaller, (height, width), mode="nearest")[0]


_SIMPLE: dict[str, Callable[[Tensor, float, torch.Generator], Tensor]] = {
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "brightness": _brightness,
    "contrast": _contrast,
    "pixelate": _pixelate,
}


def _blurred(image_CHW: Tensor, radius: float, softened: float) -> Tensor:
    """Convolved with a disk, whose rim is softened by a Gaussian; the image is mirrored at its border."""
    reach = math.ceil(radius)
    line = torch.arange(-reach, reach + 1, dtype=torch.float32)
    disk_HW = (line[:, None] ** 2 + line**2 <= radius**2).float()
    soft = 1 if radius <= 8 else 2
    bell = torch.exp(-(torch.arange(-soft, soft + 1, dtype=torch.float32) ** 2) / (2 * softened**2))
    kernel_HW = F.conv2d(
        (disk_HW / disk_HW.sum())[None, None], torch.outer(bell, bell)[None, None] / bell.sum() ** 2, padding=2 * soft
    )[0, 0]
    margin = len(kernel_HW) // 2
    padded = F.pad(image_CHW[None], [margin] * 4, mode="reflect")
    channels = len(image_CHW)
    return F.conv2d(padded, kernel_HW.expand(channels, 1, -1, -1), groups=channels)[0]


def _jpeg(pixels_CHW: Tensor, quality: int) -> Tensor:
    array = pixels_CHW.permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as image:
        decoded = np.array(image)
    return torch.from_numpy(decoded.reshape(array.shape)).permute(2, 0, 1)
