"""The throughput of a full training beside the loop of torchvision's reference, on JPEG files, in one run.

    python -m tests.benchmarks.full_training [--sizes 64 224] [--model resnet26] [--width 0.25] [--rounds 3]

The images are made for the run: noise of several scales, 10 classes, JPEG files of 320×256 pixels. Both loops train
the same network, at the same precision, on the same number of threads and loader processes, with random resized crops
and flips, label smoothing and Nesterov momentum. The peer is a faithful plain loop and not torchvision's own file,
which its package does not install: `ImageFolder`, the transforms of references/classification/train.py on PIL images, a
`DataLoader`, and a step that reads its loss and its accuracy for the log, as that one does. Each loop has a process of
its own, since how a process allocates memory is part of it; rounds of an epoch alternate between the two, and the first
round of each is a warm-up. Printed are medians of images a second, what share of its time each loop waited for images,
and the CPU time of the training process for an image, which other work on the machine leaves alone; then, of ours, what
the parts of all that take of an image's CPU time, wherever they run.
"""

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

from search_spaces.paper_models import ARCHITECTURES, architecture_named
from search_spaces.resnet import build
from trainers.batch_layout import layout_of
from trainers.data.augmentation import Augmentation
from trainers.data.config import DATA_DEFAULTS, DataConfig
from trainers.data.datasets import check_data, load_train_validation
from trainers.data.decoding import read_image
from trainers.data.image_folders import FolderImages, _augmented, _collate
from trainers.data.normalisation import FOLDER_MEAN, FOLDER_STD
from trainers.data.torchvision_import import torchvision
from trainers.exact_sums import ExactGradients
from trainers.freed_memory import keep_freed_memory
from trainers.loop import Training
from trainers.model import seeded_model
from trainers.optimizer import make_optimizer, update_average
from trainers.recipe import Recipe
from trainers.schedule import open_norm_batch

CLASSES = 10
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Task:
    """What both loops train."""

    model: str
    width: float
    precision: str
    threads: int
    data: DataConfig

    @property
    def network(self) -> Any:
        named = architecture_named(self.model)
        return replace(named, base_channels=round(named.base_channels * self.width))

    @property
    def recipe(self) -> Recipe:
        return Recipe(
            epochs=1000, batch_size=32, learning_rate=0.05, momentum=0.9, weight_decay=1e-4, label_smoothing=0.1,
            warmup_epochs=0, ema_decay=0.0, augment="resized_crop", precision=self.precision,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measured:
    """One epoch: how many images a second, what share of the time was spent waiting for them, and the milliseconds of
    CPU time that the training process took for one."""

    images_per_second: float
    waiting: float
    cpu_ms: float


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

    def __init__(self, task: Task) -> None:
        keep_freed_memory(CPU)
        train, validation = load_train_validation(task.data, keeps_in_memory=True)
        network = seeded_model(task.network, check_data(task.data), 0)
        self._recipe = task.recipe
        groups = open_norm_batch(self._recipe.batch_size, task.data.image_size)
        layout = layout_of(self._recipe.batch_size, len(train), 1, groups, groups)
        self._training = Training(network, train, validation, self._recipe, seed=0, device="cpu", layout=layout)
        self._epoch = 0

    def epoch(self) -> tuple[int, float]:
        """The images of an epoch, without its validation, which the peer does not have, and the seconds waited."""
        training = self._training
        waited = training.waited_seconds
        self._epoch += 1
        training._train_epoch(self._epoch, training._batches.epoch(self._epoch, 0), lambda: None)
        training.step = 0
        return training.steps_per_epoch * self._recipe.batch_size, training.waited_seconds - waited


class Reference:
    """The loop of torchvision's reference, an epoch at a time."""

    def __init__(self, task: Task) -> None:
        recipe, size = task.recipe, task.data.image_size
        transforms = torchvision().transforms
        torch.manual_seed(0)
        self._network = build(task.network, image_size=size, classes=CLASSES)
        steps = [
            transforms.RandomResizedCrop(size),
            transforms.RandomHorizontalFlip(),
            transforms.PILToTensor(),
            transforms.ConvertImageDtype(torch.float),
            transforms.Normalize(FOLDER_MEAN, FOLDER_STD),
        ]
        folder = torchvision().datasets.ImageFolder(f"{task.data.root}/train", transforms.Compose(steps))
        self._loader = DataLoader(
            folder, batch_size=recipe.batch_size, shuffle=True, num_workers=task.data.loader_workers, drop_last=True
        )
        self._criterion = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
        self._optimizer = torch.optim.SGD(
            self._network.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum,
            weight_decay=recipe.weight_decay, nesterov=True,
        )  # fmt: skip
        self._halves = recipe.precision == "bfloat16"

    def epoch(self) -> tuple[int, float]:
        """The images of an epoch, and the seconds waited for them."""
        self._network.train()
        waited, images = 0.0, 0
        asked = time.perf_counter()
        for pixels, labels in self._loader:
            waited += time.perf_counter() - asked
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._halves):
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
        return images, waited


def serve_epochs(loop: type[Ours] | type[Reference], task: Task, connection: Connection) -> None:
    """Trains an epoch for each message that comes, and answers with what was measured; until None comes."""
    multiprocessing.set_start_method("fork", force=True)  # Of loader processes, as where nobody has set it.
    torch.set_num_threads(task.threads)
    trained = loop(task)
    while connection.recv() is not None:
        start, cpu_start = time.perf_counter(), time.process_time()
        images, waited = trained.epoch()
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu_start
        connection.send(Measured(images / seconds, waited / seconds, 1e3 * cpu / images))


def measured_in_turn(task: Task, rounds: int) -> tuple[Measured, Measured]:
    """The medians of ours and of the reference over so many rounds after a first one."""
    context = multiprocessing.get_context("spawn")
    ends, processes = [], []
    for loop in (Ours, Reference):
        here, there = context.Pipe()
        processes.append(context.Process(target=serve_epochs, args=(loop, task, there)))
        processes[-1].start()
        there.close()
        ends.append(here)
    found: list[list[Measured]] = [[], []]
    for _ in range(rounds + 1):
        for end, results in zip(ends, found, strict=True):
            end.send("an epoch")
            results.append(end.recv())
    for end, process in zip(ends, processes, strict=True):
        end.send(None)
        process.join()
    ours, reference = (
        Measured(*(statistics.median(getattr(each, name) for each in results[1:]) for name in Measured.__slots__))
        for results in found
    )
    return ours, reference


def cpu_ms(work: Callable[[], object], images: int, times: int = 3) -> float:
    """The milliseconds of CPU time that a piece of work takes for one of so many images, of several times the least."""
    found = []
    for _ in range(times):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return 1e3 * min(found) / images


def parts_of_an_image(task: Task) -> dict[str, float]:
    """What the parts of the full training take for one image, in milliseconds of CPU time."""
    torch.set_num_threads(task.threads)
    recipe, size, batch = task.recipe, task.data.image_size, task.recipe.batch_size
    train, validation = load_train_validation(task.data, keeps_in_memory=True)
    assert isinstance(train, FolderImages)
    files = [file.decode() for file in train.files_I[:batch]]
    augmentation = Augmentation(recipe.augment, 0, 1)
    pictures = [read_image(file) for file in files]
    loaded, images = load_train_validation(replace(task.data, loader_workers=1))[0], len(train) // batch * batch
    batches = torch.arange(images).split(batch)
    squares = [_augmented(picture, size, augmentation, sample) for sample, picture in enumerate(pictures)]
    to_tensor = torchvision().transforms.v2.functional.pil_to_tensor
    images_BCHW, labels_B = next(train.batches([torch.arange(batch)], CPU, augmentation))
    network = seeded_model(task.network, check_data(task.data), 0)
    training = Training(network, train, validation, recipe, seed=0, device="cpu")
    optimizer, averaged, exact = (
        make_optimizer(network, recipe),
        seeded_model(task.network, check_data(task.data), 0),
        ExactGradients(network),
    )
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=recipe.precision == "bfloat16"):
        criterion = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)

        def forward() -> torch.Tensor:
            return criterion(network(images_BCHW), labels_B)

        def forward_backward() -> None:
            forward().backward()

        network.train()
        forward_ms, both_ms = (cpu_ms(work, batch) for work in (forward, forward_backward))
    gradients = [parameter.grad for parameter in network.parameters()]

    def exact_sums() -> None:
        for parameter, gradient in zip(network.parameters(), gradients, strict=True):
            parameter.grad = gradient
        exact.add()
        exact.finish(1)

    return {
        "read and decode": cpu_ms(lambda: [read_image(file) for file in files], batch),
        "crop, resize, flip": cpu_ms(
            lambda: [_augmented(picture, size, augmentation, sample) for sample, picture in enumerate(pictures)], batch
        ),
        "to tensor, collate": cpu_ms(
            lambda: _collate([(to_tensor(square), sample, {}) for sample, square in enumerate(squares)]), batch
        ),
        "pipe, normalise": cpu_ms(lambda: list(loaded.batches(batches, CPU, augmentation)), images),
        "forward": forward_ms,
        "backward": both_ms - forward_ms,
        "exact sums, where a batch has several groups": cpu_ms(exact_sums, batch),
        "optimizer": cpu_ms(optimizer.step, batch),
        "averaged weights": cpu_ms(lambda: update_average(averaged, network, 0.999), batch),
        "evaluation, of an image of it": cpu_ms(lambda: training.evaluate(validation), len(validation)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 224], help="pixels a side (default: 64 224)")
    parser.add_argument("--model", default="resnet26", help=f"one of {', '.join(ARCHITECTURES)}")
    parser.add_argument("--width", type=float, default=0.25, help="times the model's channels (default: 0.25)")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3, help="epochs of each, after a first one (default: 3)")
    parser.add_argument("--threads", type=int, default=1, help="torch's threads (default: 1)")
    parser.add_argument("--workers", type=int, default=1, help="loader processes of each (default: 1)")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        write_images(Path(root), arguments.images)
        data = replace(
            DATA_DEFAULTS["image_folder"], root=root, validation_fraction=0.1, loader_workers=arguments.workers
        )
        tasks = [
            Task(
                arguments.model, arguments.width, arguments.precision, arguments.threads, replace(data, image_size=size)
            )
            for size in arguments.sizes
        ]
        print(
            f"{tasks[0].network.label}, batch {tasks[0].recipe.batch_size}, {arguments.precision}, {arguments.threads} "
            f"threads, {arguments.workers} loader processes, {arguments.images} JPEG files of 320×256 pixels"
        )
        print("pixels    ours: images/s  waiting  CPU ms    reference: images/s  waiting  CPU ms    ours / reference")
        for task in tasks:
            ours, reference = measured_in_turn(task, arguments.rounds)
            print(
                f"{task.data.image_size:>6}    {_columns(ours, 14)}    {_columns(reference, 19)}"
                f"    {ours.images_per_second / reference.images_per_second:>16.2f}",
                flush=True,
            )
        keep_freed_memory(CPU)
        for task in tasks:
            print(f"{task.data.image_size} pixels, the parts of ours, in ms of CPU time for an image")
            for name, taken in parts_of_an_image(task).items():
                print(f"  {name:<44} {taken:>8.3f}", flush=True)
    return 0


def _columns(found: Measured, width: int) -> str:
    return f"{found.images_per_second:>{width}.1f}  {found.waiting:>7.0%}  {found.cpu_ms:>6.2f}"


if __name__ == "__main__":
    sys.exit(main())
