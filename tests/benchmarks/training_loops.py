"""Three loops that train the same network on the same folder of JPEG files, for tests.benchmarks.full_training.

Each is a function that takes a task and gives what trains one epoch of it: ours, and two peers, which are faithful
plain loops. Neither project installs its training script, and timm is no dependency of this one.

- `torchvision_reference` is what references/classification/train.py does: `ImageFolder`, transforms on PIL images up to
  the normalised tensor, a `DataLoader` whose processes start with each epoch, weight decay on all parameters, loss and
  accuracies read for the log after each step, and weights averaged every 32 steps.
- `timm_train` is what timm's train.py does where its options are as they are by default: random resized crops that take
  bilinear or bicubic interpolation by chance, pictures collated as bytes by loader processes that live on, normalised
  by the process that trains while one batch stands ready, label smoothing by its own loss, no weight decay on biases
  and norms, the loss read every 50 steps. Its colour jitter is off, for the others have none; its learning rate is set
  for each step, and its weights are averaged after each, where weights are averaged.

What neither has here: distributed training, AMP's gradient scaling, mixup, random erasing, clipping of gradients,
checkpoints, and the evaluation after an epoch, which ours leaves out, too.
"""

import copy
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from search_spaces.architecture import Architecture
from search_spaces.paper_models import architecture_named
from search_spaces.resnet import build
from trainers.batch_layout import layout_of
from trainers.data.config import DataConfig
from trainers.data.datasets import check_data, load_train_validation
from trainers.data.normalisation import FOLDER_MEAN, FOLDER_STD
from trainers.data.torchvision_import import torchvision
from trainers.freed_memory import keep_freed_memory
from trainers.loop import Training
from trainers.model import seeded_model
from trainers.recipe import Recipe
from trainers.schedule import learning_rate_at, open_norm_batch

# What the peers' scripts have by default.
TORCHVISION_EMA_STEPS, TIMM_LOG_STEPS = 32, 50
CROP_AREA, CROP_RATIO, CROP_ATTEMPTS = (0.08, 1.0), (3 / 4, 4 / 3), 10


@dataclass(frozen=True, slots=True)
class Task:
    """What the loops train. `ema_decay` is 0 where no weights are averaged."""

    model: str
    width: float
    precision: str
    threads: int
    data: DataConfig
    ema_decay: float = 0.0

    @property
    def network(self) -> Architecture:
        named = architecture_named(self.model)
        return replace(named, base_channels=round(named.base_channels * self.width))

    @property
    def recipe(self) -> Recipe:
        return Recipe(
            epochs=1000, batch_size=32, learning_rate=0.05, momentum=0.9, weight_decay=1e-4, label_smoothing=0.1,
            warmup_epochs=0, ema_decay=self.ema_decay, augment="resized_crop", precision=self.precision,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Epoch:
    """How many images an epoch trained on, and how long its steps waited for them."""

    images: int
    waited_seconds: float


# Trains one epoch more each time that it is called.
Epochs = Callable[[], Epoch]


def ours(task: Task) -> Epochs:
    """The loop of a full training."""
    keep_freed_memory(torch.device("cpu"))
    train, validation = load_train_validation(task.data, keeps_in_memory=True)
    recipe = task.recipe
    groups = open_norm_batch(recipe.batch_size, task.data.image_size)
    layout = layout_of(recipe.batch_size, len(train), 1, groups, groups)
    network = seeded_model(task.network, check_data(task.data), 0)
    training = Training(network, train, validation, recipe, seed=0, device="cpu", layout=layout)

    def epoch() -> Epoch:
        waited, number = training.waited_seconds, training.epoch + 1
        training._train_epoch(number, training._batches.epoch(number, 0), lambda: None, lambda: None)
        training.epoch, training.step = number, 0
        return Epoch(training.steps_per_epoch * recipe.batch_size, training.waited_seconds - waited)

    return epoch


def torchvision_reference(task: Task) -> Epochs:
    """The loop of torchvision's reference."""
    recipe = task.recipe
    transforms = torchvision().transforms
    steps = [
        transforms.RandomResizedCrop(task.data.image_size),
        transforms.RandomHorizontalFlip(),
        transforms.PILToTensor(),
        transforms.ConvertImageDtype(torch.float),
        transforms.Normalize(FOLDER_MEAN, FOLDER_STD),
    ]
    network = _network(task)
    loader = _loader(task, transforms.Compose(steps))
    criterion = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    optimizer = _sgd([{"params": list(network.parameters()), "weight_decay": recipe.weight_decay}], recipe)
    averaged = None
    if recipe.ema_decay:
        averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema_decay), use_buffers=True)

    def epoch() -> Epoch:
        network.train()
        images, watched = 0, _Watched(loader)
        for step, (images_BCHW, labels_B) in enumerate(watched):
            with _autocast(recipe):
                logits_BK = network(images_BCHW)
                loss = criterion(logits_BK, labels_B)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if averaged is not None and step % TORCHVISION_EMA_STEPS == 0:
                averaged.update_parameters(network)
            # What it writes into its log of each step: top-1 and top-5, and the loss.
            right_5B = labels_B == logits_BK.topk(5).indices.T
            for top in (1, 5):
                right_5B[:top].sum().mul(100 / len(labels_B)).item()
            loss.item()
            images += len(labels_B)
        return Epoch(images, watched.waited_seconds)

    return epoch


def timm_train(task: Task) -> Epochs:
    """The loop of timm's train.py."""
    recipe = task.recipe
    network = _network(task)
    transforms = torchvision().transforms
    steps = [_TimmCrop(task.data.image_size), transforms.RandomHorizontalFlip(), _channels_first]
    loader = _loader(
        task, transforms.Compose(steps), collate_fn=_bytes_collated, persistent_workers=task.data.loader_workers > 0
    )
    decayed = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [
        {"params": others, "weight_decay": 0.0},
        {"params": decayed, "weight_decay": recipe.weight_decay},
    ]
    optimizer = _sgd(groups, recipe)
    averaged = copy.deepcopy(network) if recipe.ema_decay else None
    updates = 0

    def epoch() -> Epoch:
        nonlocal updates
        network.train()
        images, watched = 0, _Watched(_normalised_ahead(loader))
        loss_sum = torch.zeros(())
        for step, (images_BCHW, labels_B) in enumerate(watched):
            with _autocast(recipe):
                loss = timm_smoothed_loss(network(images_BCHW), labels_B, recipe.label_smoothing)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            if averaged is not None:
                _average(averaged, network, recipe.ema_decay)
            updates += 1
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(recipe, updates, len(loader))
            loss_sum += loss.detach() * len(labels_B)
            images += len(labels_B)
            if step % TIMM_LOG_STEPS == 0:
                loss_sum.item()
        return Epoch(images, watched.waited_seconds)

    return epoch


# Ours first: the others are its peers.
LOOPS: dict[str, Callable[[Task], Epochs]] = {
    "ours": ours, "torchvision": torchvision_reference, "timm": timm_train,
}  # fmt: skip


def _network(task: Task) -> nn.Module:
    torch.manual_seed(0)
    random.seed(0)
    classes = check_data(task.data).classes
    return build(task.network, image_size=task.data.image_size, classes=classes)


def _loader(task: Task, transform: Callable[[Any], Any], **more: Any) -> "DataLoader[Any]":
    folder = torchvision().datasets.ImageFolder(f"{task.data.root}/train", transform)
    return DataLoader(
        folder,
        batch_size=task.recipe.batch_size,
        shuffle=True,
        num_workers=task.data.loader_workers,
        drop_last=True,
        **more,
    )


def _sgd(groups: list[dict[str, Any]], recipe: Recipe) -> torch.optim.SGD:
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=True)


def _autocast(recipe: Recipe) -> torch.autocast:
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=recipe.precision == "bfloat16")


class _Watched:
    """Batches, and how long whoever takes them has waited for them."""

    def __init__(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        self._batches = batches
        self.waited_seconds = 0.0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        asked = time.perf_counter()
        for batch in self._batches:
            self.waited_seconds += time.perf_counter() - asked
            yield batch
            asked = time.perf_counter()
        self.waited_seconds += time.perf_counter() - asked


class _TimmCrop:
    """A random resized crop, bilinear or bicubic by chance."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __call__(self, image: Image.Image) -> Image.Image:
        left, top, width, height = _crop_box(image.width, image.height)
        interpolation = random.choice((Image.Resampling.BILINEAR, Image.Resampling.BICUBIC))
        cropped = image.crop((left, top, left + width, top + height))
        return cropped.resize((self._size, self._size), interpolation)


def _crop_box(width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, width and height of a random crop: the largest in the middle where no attempt fits."""
    for _ in range(CROP_ATTEMPTS):
        area = random.uniform(*CROP_AREA) * width * height
        ratio = math.exp(random.uniform(*map(math.log, CROP_RATIO)))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if wide <= width and high <= height:
            return random.randint(0, width - wide), random.randint(0, height - high), wide, high
    ratio = min(max(width / height, CROP_RATIO[0]), CROP_RATIO[1])
    wide, high = min(width, round(height * ratio)), min(height, round(width / ratio))
    return (width - wide) // 2, (height - high) // 2, wide, high


def _channels_first(image: Image.Image) -> NDArray[np.uint8]:
    return np.rollaxis(np.array(image, dtype=np.uint8), 2)


def _bytes_collated(items: Sequence[tuple[NDArray[np.uint8], int]]) -> tuple[Tensor, Tensor]:
    images_BCHW = torch.zeros(len(items), *items[0][0].shape, dtype=torch.uint8)
    for place, (image, _) in enumerate(items):
        images_BCHW[place] += torch.from_numpy(image)
    return images_BCHW, torch.tensor([label for _, label in items], dtype=torch.int64)


def _normalised_ahead(loader: "DataLoader[Any]") -> Iterator[tuple[Tensor, Tensor]]:
    """The batches as numbers, each handed out when the next one has been fetched, too."""
    mean, std = (255 * torch.tensor(each).view(1, 3, 1, 1) for each in (FOLDER_MEAN, FOLDER_STD))
    ready = None
    for bytes_BCHW, labels_B in loader:
        fetched = bytes_BCHW.to(torch.float32).sub_(mean).div_(std), labels_B
        if ready is not None:
            yield ready
        ready = fetched
    if ready is not None:
        yield ready


def timm_smoothed_loss(logits_BK: Tensor, labels_B: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy with smoothed labels, in timm's steps."""
    log_probabilities_BK = functional.log_softmax(logits_BK, dim=-1)
    true_B = -log_probabilities_BK.gather(dim=-1, index=labels_B.unsqueeze(1)).squeeze(1)
    return ((1 - smoothing) * true_B - smoothing * log_probabilities_BK.mean(dim=-1)).mean()


@torch.no_grad()
def _average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """Value after value, batch norm's counters, too, as timm's ModelEmaV2."""
    for mean, value in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
        mean.copy_(decay * mean + (1 - decay) * value)
