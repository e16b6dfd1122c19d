"""How many threads torch computes with in a full training on a CPU, by rule and not by chance."""

import os

import torch

# Images of up to so many pixels a side: their networks gain nothing from threads, and where other programs want the
# same cores, threads that wait for each other were measured to take ten times as long.
SMALL_IMAGES = 32


def choose_threads(device: torch.device, image_size: int) -> None:
    """One thread for small images on a CPU, as torchrun has it, too; torch's own choice for others.

    OMP_NUM_THREADS decides where it is set. Results are equal to the bit only where the number of threads is.
    """
    if device.type == "cpu" and image_size <= SMALL_IMAGES and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
