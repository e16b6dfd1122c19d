"""The throughput of a full training beside the loop of torchvision's reference, on JPEG files, in one run.

    python -m tests.benchmarks.full_training [--sizes 64 224] [--model resnet26] [--width 0.25] [--rounds 3]

The images are made for the run: noise of several scales, 10 classes, JPEG files of 320×256 pixels. Both loops train
the same network, in float32, on the same number of threads and loader processes, with random resized crops and flips,
label smoothing and Nesterov momentum. The peer is a faithful plain loop and not torchvision's own file, which its
package does not install: `ImageFolder`, the transforms of references/classification/train.py on PIL images, a
`DataLoader`, and a step that reads its loss and its accuracy for the log, as that one does. Rounds of an epoch
alternate between the two; the first round of each is a warm-up. Printed are medians of images a second, and what share
of its time each loop waited for images.
"""

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

from search_spaces.architecture import Architecture
from search_spaces.paper_models import ARCHITECTURES, architecture_named
from search_spaces.resnet import build
from trainers.data.config import DATA_DEFAULTS, DataConfig
from trainers.data.datasets import check_data, load_train_validation
from trainers.data.normalisation import FOLDER_MEAN, FOLDER_STD
from trainers.data.torchvision_import import torchvision
from trainers.loop import Training
from trainers.model import seeded_model
from trainers.recipe import Recipe

CLASSES = 10
RECIPE = Recipe(
    epochs=1000, batch_size=32, learning_rate=0.05, momentum=0.9, weight_decay=1e-4, label_smoothing=0.1,
    warmup_epochs=0, ema_decay=0.0, augment="resized_crop", precision="float32",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measured:
    """One epoch: how many images a second, and what share of the time was spent waiting for them."""

    images_per_second: float
    waiting: float


def write_images(root: Path, count: int) -> None:
    """Writes `count` JPEG files of noise at several scales, which are as large as photographs are, over the classes."""
    random = np.random.default_rng(0)
    for number in range(count):
        picture = np.zeros((256, 320, 3))
        for side in (4, 16, 64):
            small = random.random((side, side, 3)) * 255 / 3
            scaled = [Image.fromarray(small[:, :, c].astype(np.float32)).resize((320, 256)) for c in range(3)]
            picture += np.stack([np.asarray(channel) for channel in scaled], axis=2)
        directory = root / "train" / f"class{number % CLASSES}"
        directory.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(directory / f"{number:05d}.jpg", quality=90)


class Ours:
    """The loop of the full training, an epoch at a time."""

    def __init__(self, architecture: Architecture, config: DataConfig) -> None:
        train, validation = load_train_validation(config)
        network = seeded_model(architecture, check_data(config), 0)
        self._training = Training(network, train, validation, RECIPE, seed=0, device="cpu")
        self._epoch = 0

    def epoch(self) -> Measured:
        training = self._training
        waited, start = training.waited_seconds, time.perf_counter()
        self._epoch += 1
        # The epoch without its validation, which the peer does not have.
        training._train_epoch(self._epoch, lambda: None)
        seconds = time.perf_counter() - start
        training.step = 0
        images = training.steps_per_epoch * RECIPE.batch_size
        return Measured(images / seconds, (training.waited_seconds - waited) / seconds)


class Reference:
    """The loop of torchvision's reference, an epoch at a time."""

    def __init__(self, architecture: Architecture, config: DataConfig) -> None:
        summary = check_data(config)
        transforms = torchvision().transforms
        torch.manual_seed(0)
        self._network = build(architecture, image_size=config.image_size, classes=summary.classes)
        steps = [
            transforms.RandomResizedCrop(config.image_size),
            transforms.RandomHorizontalFlip(),
            transforms.PILToTensor(),
            transforms.ConvertImageDtype(torch.float),
            transforms.Normalize(FOLDER_MEAN, FOLDER_STD),
        ]
        folder = torchvision().datasets.ImageFolder(f"{config.root}/train", transforms.Compose(steps))
        self._loader = DataLoader(
            folder, batch_size=RECIPE.batch_size, shuffle=True, num_workers=config.loader_workers, drop_last=True
        )
        self._criterion = nn.CrossEntropyLoss(label_smoothing=RECIPE.label_smoothing)
        self._optimizer = torch.optim.SGD(
            self._network.parameters(), lr=RECIPE.learning_rate, momentum=RECIPE.momentum,
            weight_decay=RECIPE.weight_decay, nesterov=True,
        )  # fmt: skip

    def epoch(self) -> Measured:
        self._network.train()
        waited, images, start = 0.0, 0, time.perf_counter()
        asked = start
        for pixels, labels in self._loader:
            waited += time.perf_counter() - asked
            logits = self._network(pixels)
            loss = self._criterion(logits, labels)
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            # What the reference writes into its log of each step.
            (logits.argmax(1) == labels).float().mean().item()
            loss.item()
            images += len(labels)
            asked = time.perf_counter()
        seconds = time.perf_counter() - start
        return Measured(images / seconds, waited / seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 224], help="pixels a side (default: 64 224)")
    parser.add_argument("--model", default="resnet26", help=f"one of {', '.join(ARCHITECTURES)}")
    parser.add_argument("--width", type=float, default=0.25, help="times the model's channels (default: 0.25)")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3, help="epochs of each, after a first one (default: 3)")
    parser.add_argument("--threads", type=int, default=1, help="torch's threads (default: 1)")
    parser.add_argument("--workers", type=int, default=1, help="loader processes of each (default: 1)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    architecture = replace(architecture_named(arguments.model), base_channels=round(64 * arguments.width))
    print(f"{architecture.label}, batch {RECIPE.batch_size}, float32, {arguments.threads} threads, "
          f"{arguments.workers} loader processes, {arguments.images} JPEG files of 320×256 pixels")  # fmt: skip
    print("pixels  ours: images/s  waiting  reference: images/s  waiting  ours / reference")
    with tempfile.TemporaryDirectory() as root:
        write_images(Path(root), arguments.images)
        for size in arguments.sizes:
            config = replace(
                DATA_DEFAULTS["image_folder"], root=root, image_size=size, validation_fraction=0.1,
                loader_workers=arguments.workers,
            )  # fmt: skip
            loops = (Ours(architecture, config), Reference(architecture, config))
            rounds = [[loop.epoch() for loop in loops] for _ in range(arguments.rounds + 1)][1:]
            ours, reference = (
                Measured(
                    statistics.median(each[which].images_per_second for each in rounds),
                    statistics.median(each[which].waiting for each in rounds),
                )
                for which in (0, 1)
            )
            print(f"{size:>6}  {ours.images_per_second:>14.1f}  {ours.waiting:>7.0%}"
                  f"  {reference.images_per_second:>19.1f}  {reference.waiting:>7.0%}"
                  f"  {ours.images_per_second / reference.images_per_second:>16.2f}", flush=True)  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
