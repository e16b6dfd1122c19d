"""The throughput of a full training beside the loops of torchvision's reference and of timm, on JPEG files, in one run.

    python -m tests.benchmarks.full_training [--sizes 64 224] [--model resnet26] [--width 0.25] [--rounds 3]

The images are made for the run: noise of several scales, 10 classes, JPEG files of 320×256 pixels. All loops train
the same network, at the same precision, on the same number of threads and loader processes, with random resized crops
and flips, label smoothing and Nesterov momentum. The peers are faithful plain loops; tests.benchmarks.training_loops
says of what. Each loop has a process of its own, since how a process allocates memory is part of it; rounds of an epoch
alternate between them, and the first round of each is a warm-up. Printed are medians of images a second, by what factor
ours are more, what share of its time each loop waited for images, and the CPU time of the training process for an
image, which other work on the machine leaves alone; then, of ours, what the parts of all that take of an image's CPU
time, wherever they run.
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

import numpy as np
import torch
from PIL import Image
from torch import nn

from search_spaces.paper_models import ARCHITECTURES
from tests.benchmarks.training_loops import LOOPS, Task
from trainers.data.augmentation import Augmentation
from trainers.data.config import DATA_DEFAULTS
from trainers.data.datasets import check_data, load_train_validation
from trainers.data.decoding import read_image
from trainers.data.image_folders import FolderImages, _augmented, _collate
from trainers.data.torchvision_import import torchvision
from trainers.exact_sums import ExactGradients
from trainers.freed_memory import keep_freed_memory
from trainers.loop import Training
from trainers.model import seeded_model
from trainers.optimizer import make_optimizer, update_average

CLASSES = 10
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Measured:
    """One epoch: how many images a second, what share of the time was spent waiting for them, and the milliseconds of
    CPU time that the training process took for one."""

    images_per_second: float
    waiting: float
    cpu_ms: float


def write_images(directory: Path, count: int) -> None:
    """Writes `count` JPEG files of noise at several scales, which are as large as photographs are, over the classes."""
    random = np.random.default_rng(0)
    for number in range(count):
        picture = np.zeros((256, 320, 3))
        for side in (4, 16, 64):
            small = random.random((side, side, 3)) * 255 / 3
            scaled = [Image.fromarray(small[:, :, c].astype(np.float32)).resize((320, 256)) for c in range(3)]
            picture += np.stack([np.asarray(channel) for channel in scaled], axis=2)
        file = directory / f"class{number % CLASSES}" / f"{number:05d}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(file, quality=90)


def serve_epochs(name: str, task: Task, connection: Connection) -> None:
    """Trains an epoch by a loop for each message that comes, and answers with what was measured; until None comes."""
    multiprocessing.set_start_method("fork", force=True)  # Of loader processes, as where nobody has set it.
    torch.set_num_threads(task.threads)
    epoch = LOOPS[name](task)
    while connection.recv() is not None:
        start, cpu_start = time.perf_counter(), time.process_time()
        trained = epoch()
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu_start
        connection.send(
            Measured(trained.images / seconds, trained.waited_seconds / seconds, 1e3 * cpu / trained.images)
        )


def measured_in_turn(task: Task, rounds: int) -> dict[str, Measured]:
    """The medians of each loop over so many rounds after a first one."""
    context = multiprocessing.get_context("spawn")
    ends: dict[str, Connection] = {}
    processes = []
    for name in LOOPS:
        ends[name], there = context.Pipe()
        processes.append(context.Process(target=serve_epochs, args=(name, task, there)))
        processes[-1].start()
        there.close()
    found: dict[str, list[Measured]] = {name: [] for name in LOOPS}
    for _ in range(rounds + 1):
        for name, end in ends.items():
            end.send("an epoch")
            found[name].append(end.recv())
    for end in ends.values():
        end.send(None)
    for process in processes:
        process.join()
    return {name: _median(results[1:]) for name, results in found.items()}


def _median(results: list[Measured]) -> Measured:
    return Measured(*(statistics.median(getattr(each, field) for each in results) for field in Measured.__slots__))


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
    parser.add_argument("--ema-decay", type=float, default=0.0, help="of averaged weights (default: 0, none)")
    parser.add_argument("--no-parts", action="store_true", help="leave out the parts of an image's time")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        write_images(Path(root) / "train", arguments.images)
        write_images(Path(root) / "val", CLASSES)
        data = replace(DATA_DEFAULTS["image_folder"], root=root, loader_workers=arguments.workers)
        tasks = [
            Task(
                arguments.model, arguments.width, arguments.precision, arguments.threads,
                replace(data, image_size=size), arguments.ema_decay,
            )
            for size in arguments.sizes
        ]  # fmt: skip
        print(
            f"{tasks[0].network.label}, batch {tasks[0].recipe.batch_size}, {arguments.precision}, {arguments.threads} "
            f"threads, {arguments.workers} loader processes, {arguments.images} JPEG files of 320×256 pixels"
        )
        print("pixels  loop         images/s  ours / its  waiting  CPU ms")
        for task in tasks:
            found = measured_in_turn(task, arguments.rounds)
            for name, measured in found.items():
                ratio = found["ours"].images_per_second / measured.images_per_second
                print(
                    f"{task.data.image_size:>6}  {name:<12} {measured.images_per_second:>8.1f}  {ratio:>10.2f}  "
                    f"{measured.waiting:>7.0%}  {measured.cpu_ms:>6.2f}",
                    flush=True,
                )
        keep_freed_memory(CPU)
        for task in () if arguments.no_parts else tasks:
            print(f"{task.data.image_size} pixels, the parts of ours, in ms of CPU time for an image")
            for name, taken in parts_of_an_image(task).items():
                print(f"  {name:<44} {taken:>8.3f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
