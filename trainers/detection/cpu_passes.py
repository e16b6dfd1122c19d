"""How many images a CPU takes through a detector at a time, and what memory they take."""

from itertools import chain

from search_spaces.architecture import Attention, stem_stride
from search_spaces.space import BASE_CHANNELS
from trainers.detection.design import DetectorDesign

# Two images of 640 pixels a side, behind a stem of stride 4. A CPU is no faster at more of them.
PIXELS_OF_PASS = 2 * 640**2
# What a RetinaNet holds until it has gone backward, measured at 640 pixels on ResNet-26 (a bundle's, 1.8 GB for two
# images), ResNet-50 (0.9 GB an image) and ResNet-50 of attention alone (3.8 GB): bytes for each of those pixels by
# pyramid and head, and by sixteen blocks of full width, of convolutions or of attention.
_BYTES_OF_HEAD, _BYTES_OF_CONVOLUTIONS, _BYTES_OF_ATTENTION = 400, 1_800, 8_900
_BLOCKS = 16


def images_of_cpu_pass(design: DetectorDesign, batch_size: int, train_images: int, world_size: int) -> int:
    """The images of a pass on a CPU, where they may be any number: as many as `PIXELS_OF_PASS` allow, two at least.

    They divide the share that each process has of a batch, so that it is the batch that was asked for. Of a set that is
    smaller than that it may have to be an image less.
    """
    share = min(batch_size, train_images) // world_size
    most = max(2, int(PIXELS_OF_PASS / _pixels(design)))
    divisors = [size for size in range(2, share + 1) if share % size == 0]
    fitting = [size for size in divisors if size <= most]
    if fitting:
        return max(fitting)
    return 2 if train_images < batch_size else min(divisors, default=2)


def bytes_of_pass(design: DetectorDesign, images: int) -> float:
    """About how much memory so many images take at a time, on the way forward and backward."""
    blocks = list(chain(*design.architecture.stages))
    attention = sum(isinstance(operator, Attention) for operator in blocks)
    of_blocks = _BYTES_OF_ATTENTION * attention + _BYTES_OF_CONVOLUTIONS * (len(blocks) - attention)
    width = design.architecture.base_channels / BASE_CHANNELS
    return images * _pixels(design) * (_BYTES_OF_HEAD + width * of_blocks / _BLOCKS)


def memory_line(design: DetectorDesign, images: int, free: int) -> str | None:
    """What is to be said of so many images at a time where they take more than half of the bytes that are free."""
    needed = bytes_of_pass(design, images)
    if needed <= free / 2:
        return None
    size, because = design.image_size, ""
    if stem_stride(design.stem_image_size) < 4:
        because = f", as this network's stem, made for images of {design.stem_image_size} px, hardly reduces them"
    remedies = [f"data.image_size={max(32, size // 2)} takes a quarter"]
    if images > 2 and not design.frozen_norms:
        remedies.append("recipe.norm_batch=2 takes two at a time")
    return (
        f"{images} images of {size} px at a time take some {needed / 1e9:.0f} GB of memory{because}, and "
        f"{free / 1e9:.0f} are free: {', '.join(remedies)}"
    )


def _pixels(design: DetectorDesign) -> float:
    """Of an image, as many as one behind a stem of stride 4 would have for the same feature maps."""
    return design.image_size**2 * (4 / stem_stride(design.stem_image_size)) ** 2
