"""The memory of a training step, for one image, of the paper's networks on the CPU: full attention beside convolution.

    python -m tests.benchmarks.training_memory [--models resnet50 resnet50-attention] [--image-size 224] [--batch 4]

It is the high-water mark of torch's allocator over forward and backward, less the weights and gradients, which do not
depend on the number of images. The time is the process's CPU time for the two, of three times the least.
"""

import argparse
import sys
import time

import torch
from torch.nn import functional as F

from search_spaces.attention.dispatch import has_numba
from search_spaces.paper_models import ARCHITECTURES, architecture_named
from search_spaces.resnet import build

MODELS = ("resnet50", "resnet50-conv_stem_attention", "resnet50-attention")


def measured(name: str, image_size: int, batch: int) -> tuple[float, float]:
    """(MB, seconds of CPU time) for one image."""
    torch.manual_seed(0)
    network = build(architecture_named(name), image_size=image_size)
    images_BCHW = torch.randn(batch, 3, image_size, image_size).contiguous(memory_format=torch.channels_last)
    labels_B = torch.arange(batch)

    def step() -> None:
        F.cross_entropy(network(images_BCHW), labels_B).backward()

    seconds = []
    for _ in range(3):
        network.zero_grad()
        start = time.process_time()
        step()
        seconds.append(time.process_time() - start)
    # The gradients are there already.
    with torch.autograd.profiler.profile(profile_memory=True) as profile:
        step()
    held = peak = 0
    for event in profile.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return peak / batch / 1e6, min(seconds) / batch


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS, choices=ARCHITECTURES)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    backend = "compiled kernels" if has_numba() else "blocks of plain torch"
    print(f"forward and backward in float32, {arguments.image_size} pixels, batch {arguments.batch}, {backend}")
    first = None
    for name in arguments.models:
        megabytes, seconds = measured(name, arguments.image_size, arguments.batch)
        first = first or (megabytes, seconds)
        print(
            f"{name:<32} {megabytes:>7.1f} MB an image ({megabytes / first[0]:.2f}×)"
            f"  {seconds:>6.2f} s an image ({seconds / first[1]:.2f}×)",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
