"""How many images a CPU takes through a detector at a time, and what memory they take."""

# Two images of 640 pixels a side. A CPU is no faster at more of them.
PIXELS_OF_PASS = 2 * 640**2
# Measured as RetinaNet trains: on ResNet-50, and on ResNet-50 of attention alone.
BYTES_OF_PIXEL = (2_200, 9_300)


def images_of_cpu_pass(batch_size: int, train_images: int, world_size: int, image_size: int) -> int:
    """The images of a pass on a CPU, where they may be any number: as many as `PIXELS_OF_PASS` allow, two at least.

    They divide the share that each process has of a batch, so that it is the batch that was asked for. Of a set that is
    smaller than that it may have to be an image less.
    """
    share = min(batch_size, train_images) // world_size
    most = max(2, PIXELS_OF_PASS // image_size**2)
    divisors = [size for size in range(2, share + 1) if share % size == 0]
    fitting = [size for size in divisors if size <= most]
    if fitting:
        return max(fitting)
    return 2 if train_images < batch_size else min(divisors, default=2)


def memory_line(images: int, image_size: int) -> str | None:
    """What is to be said of so many images at a time, None where a CPU has the memory for them."""
    pixels = images * image_size**2
    if pixels <= 4 * PIXELS_OF_PASS:
        return None
    least, most = (pixels * each / 1e9 for each in BYTES_OF_PIXEL)
    return (
        f"{images} images of {image_size} px at a time, whose statistics batch norm takes together, need some "
        f"{least:.0f} to {most:.0f} GB of memory: recipe.norm_batch=N has N at a time"
    )
