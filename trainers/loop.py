"""Training and evaluating a network: a generator of epoch results that can be left and taken up again, bit for bit.

Order of the samples and augmentation are functions of (seed, epoch, index), so there is no random state to keep.

Shapes: B batch, C channels, H height, W width.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from search_spaces.errors import UserError
from trainers.batch_layout import BatchLayout, layout_of
from trainers.batch_norm import GroupBatchNorm2d, finish_step, grouped_norms, note_pass
from trainers.compilation import compiled, failures_named
from trainers.data.image_folders import unreadable_files
from trainers.data.images import Images
from trainers.data.loader_processes import LoadersStopped, deaths_in_words
from trainers.epoch_result import EpochResult
from trainers.evaluation import autocast, evaluate, evaluation_batches, sum_over_processes
from trainers.exact_sums import ExactGradients, in_batch_order
from trainers.measurement import Measurement, measure
from trainers.optimizer import make_optimizer, update_average
from trainers.recipe import NOT_COMPILED, Recipe
from trainers.sample_order import share_of
from trainers.schedule import ema_decay_at, learning_rate_at
from trainers.targets import BatchTargets
from trainers.training_batches import TrainingBatches, mixes

# Every so many steps the loss is looked at; looking makes a GPU wait for its queue.
STEPS_BETWEEN_CHECKS = 20
# So many steps before an epoch ends the first images of its evaluation are asked for: its loader processes have little
# left to read ahead.
STEPS_AHEAD = 16


class Diverged(Exception):
    """The loss of `epoch` (counted from 1) is not finite."""

    def __init__(self, epoch: int) -> None:
        super().__init__(epoch)
        self.epoch = epoch

    def __str__(self) -> str:
        return f"the loss is not finite in epoch {self.epoch}"


# How a training that could start can fail.
TRAINING_FAILURES = (Diverged, LoadersStopped, torch.cuda.OutOfMemoryError)


class Training:
    """A network on its way through a recipe.

    `model` is trained in place, from the weights that it has; `seed` orders and augments the samples. Of several
    processes each trains on its share of every global batch and holds the same weights. Their batch norms see together
    what that of one process would (`trainers.batch_norm`), so that the results differ by rounding alone.

    With `micro_batches` above 1 the share of a process goes through the network in so many parts, one after the other,
    which takes less memory. The gradients are those of the whole batch. Batch norm sees the groups of the layout, or
    each part on its own where a group is larger. `layout` is by default one pass of one process, all in one group.

    `evaluation` takes what `trainers.evaluation.evaluate` does, and gives the loss and what stands for the accuracy.
    `compilation` is one of `trainers.recipe.COMPILATIONS`. `shorter_epochs` are the numbers of epochs that the training
    was to have before it was made longer: what was left by those may be taken up.

    Neither an evaluation nor the epoch after it waits for its first images: they are read while the one before them is
    still at work.
    """

    def __init__(
        self,
        model: nn.Module,
        train_data: Images,
        validation_data: Images,
        recipe: Recipe,
        *,
        seed: int,
        device: torch.device | str,
        rank: int = 0,
        layout: BatchLayout | None = None,
        evaluation: Callable[..., tuple[float, float]] = evaluate,
        compilation: str = NOT_COMPILED,
        shorter_epochs: frozenset[int] = frozenset(),
    ) -> None:
        self.recipe = recipe
        self.seed = seed
        self._evaluation = evaluation
        self._shorter_epochs = shorter_epochs
        self.epoch = 0
        # Of the epoch that is running: its steps so far, the sum of their losses in this process, and its seconds.
        self.step = 0
        self._loss_sum = torch.zeros((), device=device)
        self._seconds = 0.0
        # Of the step that is running: its passes so far, and all of them.
        self.passes_done, self.passes_of_step = 0, 1
        # How long the steps of this process have waited for their images.
        self.waited_seconds = 0.0
        # On how many processes it was before it was taken up; None where it was not, or nobody knows.
        self.earlier_world_size: int | None = None
        self._layout = layout_of(recipe.batch_size, len(train_data)) if layout is None else layout
        self.micro_batches = self._layout.passes
        self.device = torch.device(device)
        self._rank, self._world_size = rank, self._layout.world_size
        self._train_data, self._validation_data = train_data, validation_data
        share = share_of(self._layout, rank, mixes=mixes(recipe))
        self._batches = TrainingBatches(train_data, recipe, seed, self._layout.batch_size, share, self.device)
        # What was begun to be read of the next evaluation.
        self._to_evaluate: Iterator[tuple[Tensor, Any]] | None = None
        # Those that were met before the training was taken up.
        self._unreadable: dict[str, list[str]] = {}
        self._batch_size = self._layout.batch_size
        self.steps_per_epoch = self._batches.steps_per_epoch
        self._model = model.to(self.device)
        self._averaged = copy.deepcopy(self._model) if recipe.ema_decay > 0 else None
        self._norms = grouped_norms(self._model, self._layout, rank)
        # Where each pass is a group of batch norm, a CPU computes it alike on any layout; so are the sums, then.
        in_groups = self._layout.micro_batch == self._layout.norm_batch < self._layout.batch_size
        self._exact = ExactGradients(self._model) if in_groups and self.device.type == "cpu" else None
        parallel = self._world_size > 1 and self._exact is None
        # Gradients lie in the buckets that are sent, instead of being copied there and back.
        self._parallel = DistributedDataParallel(self._model, gradient_as_bucket_view=True) if parallel else None
        self._compilation = compilation
        self._network = compiled(self._model if self._parallel is None else self._parallel, compilation)
        self._optimizer = make_optimizer(self._model, recipe)

    @property
    def evaluated_model(self) -> nn.Module:
        """The network that is evaluated and kept: the averaged weights, or the trained ones where none are averaged."""
        return self._model if self._averaged is None else self._averaged

    @property
    def learning_rate(self) -> float:
        """That of the last step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def loss_so_far(self) -> float:
        """The mean loss of the running epoch's steps, of the images of this process. Makes a GPU wait for its queue."""
        return self._loss_sum.item() / max(1, self.step)

    def steps_done(self) -> float:
        """All steps since the first epoch, with the share of the running one."""
        return self.epoch * self.steps_per_epoch + self.step + self.passes_done / self.passes_of_step

    def stands_before_step(self) -> bool:
        """Whether `state_dict` says between two passes of a step what it said before that step.

        Batch norm of its own kind moves its running statistics in each pass.
        """
        norms = (module for module in self._model.modules() if isinstance(module, nn.BatchNorm2d))
        return all(isinstance(norm, GroupBatchNorm2d) for norm in norms)

    def epochs(
        self, between_steps: Callable[[], None] = lambda: None, between_passes: Callable[[], None] = lambda: None
    ) -> Iterator[EpochResult]:
        """Trains from where the training stands to the recipe's last epoch, with a result after each.

        `between_steps` is called after each step, and each batch of an evaluation, equally often in all processes. What
        `state_dict` and `position` say there is where a training goes on, whatever is raised. `between_passes` is
        called after each pass of a step but the last, where that holds if `stands_before_step`. Raises Diverged where
        the loss is no longer finite.
        """
        if self.epoch >= self.recipe.epochs:
            return
        batches = self._batches.epoch(self.epoch + 1, self.step)
        # At first, too: loader processes that are started before there are gradients keep no copy of them.
        self._read_evaluation_ahead()
        while self.epoch < self.recipe.epochs:
            start, before = time.perf_counter(), self._seconds

            def timed(call: Callable[[], None], start: float = start, before: float = before) -> None:
                self._seconds = before + time.perf_counter() - start
                call()

            timed_between_steps = partial(timed, between_steps)

            with deaths_in_words():
                train_loss, learning_rate = self._train_epoch(
                    self.epoch + 1, batches, timed_between_steps, partial(timed, between_passes)
                )
                self._read_evaluation_ahead()
                if self.epoch + 1 < self.recipe.epochs:
                    batches = self._batches.epoch(self.epoch + 2, 0)
                begun, self._to_evaluate = self._to_evaluate, None
                val_loss, val_accuracy = self.evaluate(self._validation_data, timed_between_steps, begun)
            if not math.isfinite(val_loss):
                raise Diverged(self.epoch + 1)
            self.epoch += 1
            self.step, self._seconds = 0, 0.0
            self._loss_sum = torch.zeros_like(self._loss_sum)
            seconds = before + time.perf_counter() - start
            yield EpochResult(self.epoch, train_loss, val_loss, val_accuracy, learning_rate, seconds)

    def evaluate(
        self,
        data: Images,
        between_batches: Callable[[], None] = lambda: None,
        begun: Iterator[tuple[Tensor, Any]] | None = None,
    ) -> tuple[float, float]:
        """(loss, accuracy) of the evaluated model. `between_batches` is called after each batch.

        `begun` are the batches of these images, if they are begun to be read.
        """
        return self._evaluation(
            self.evaluated_model,
            data,
            self.device,
            self._evaluation_batch,
            precision=self.recipe.precision,
            rank=self._rank,
            world_size=self._world_size,
            between_batches=between_batches,
            begun=begun,
        )

    def _read_evaluation_ahead(self) -> None:
        if self._to_evaluate is None:
            self._to_evaluate = evaluation_batches(
                self._validation_data, self.device, self._evaluation_batch, self._rank, self._world_size
            )

    def measure(self, data: Images, classes: int, between_batches: Callable[[], None] = lambda: None) -> Measurement:
        """What the evaluated model makes of a split, in detail. `between_batches` is called after each batch."""
        return measure(
            self.evaluated_model,
            data,
            classes,
            self.device,
            self._evaluation_batch,
            precision=self.recipe.precision,
            rank=self._rank,
            world_size=self._world_size,
            between_batches=between_batches,
        )

    @property
    def _evaluation_batch(self) -> int:
        """Images that a process takes through the network at a time."""
        return max(1, self._batch_size // (self._world_size * self.micro_batches))

    def unreadable(self) -> dict[str, list[str]]:
        """The files of the train and the validation split that could not be read so far. All processes must call it."""
        mine = {"train": unreadable_files(self._train_data), "validation": unreadable_files(self._validation_data)}
        found: list[dict[str, set[str]]] = [mine] * self._world_size
        if self._world_size > 1:
            torch.distributed.all_gather_object(found, mine)
        earlier = self._unreadable
        return {split: sorted(set(earlier.get(split, ())).union(*(each[split] for each in found))) for split in mine}

    def position(self) -> dict[str, Any]:
        """Where the running epoch stands, which `state_dict` lacks. All processes must call it."""
        sums = [self._loss_sum.item()] * self._world_size
        if self._world_size > 1:
            torch.distributed.all_gather_object(sums, sums[0])
        return {"step": self.step, "loss_sums": sums, "seconds": self._seconds}

    def state_dict(self) -> dict[str, Any]:
        """Everything that the epochs after this one depend on, as copies that later steps leave alone."""
        return copy.deepcopy(
            {
                "epoch": self.epoch,
                "seed": self.seed,
                "recipe": self.recipe.to_json(),
                "train_images": len(self._train_data),
                "micro_batches": self.micro_batches,
                "world_size": self._world_size,
                "model": self._model.state_dict(),
                "averaged": None if self._averaged is None else self._averaged.state_dict(),
                "optimizer": self._optimizer.state_dict(),
            }
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up the training that `state_dict` left, with what `position` said if it was left within an epoch.

        Raises UserError where that was another training.
        """
        mine = {"seed": self.seed, "recipe": self.recipe.to_json(), "train_images": len(self._train_data)}
        longer = {"recipe": state["recipe"] | {"epochs": self.recipe.epochs}}
        saved = state | (longer if state["recipe"]["epochs"] in self._shorter_epochs else {})
        for name, value in mine.items():
            if saved[name] != value:
                raise UserError(f"the saved training has {name} {state[name]!r}, this one {value!r}.")
        self.epoch = state["epoch"]
        self.earlier_world_size = state.get("world_size")
        self._unreadable = state.get("unreadable", {})
        self.step, self._seconds = state.get("step", 0), state.get("seconds", 0.0)
        sums = state.get("loss_sums", [0.0])
        # On another number of processes each takes an equal part of the whole.
        loss_sum = sums[self._rank] if len(sums) == self._world_size else math.fsum(sums) / len(sums)
        self._loss_sum = torch.full_like(self._loss_sum, loss_sum)
        is_whole = self._layout.norm_batch == self._batch_size
        if is_whole and state.get("world_size", self._world_size) == self._world_size:
            # Batch norm goes on seeing what it saw: as many parts at least.
            self.micro_batches = max(self.micro_batches, state.get("micro_batches", 1))
        self._model.load_state_dict(state["model"])
        if self._averaged is not None:
            self._averaged.load_state_dict(state["averaged"])
        # The optimizer would take the tensors themselves, and its steps would then change `state`.
        self._optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))

    def _train_epoch(
        self,
        epoch: int,
        batches: Iterator[tuple[Tensor, BatchTargets]],
        between_steps: Callable[[], None],
        between_passes: Callable[[], None],
    ) -> tuple[float, float]:
        """The mean loss and the last learning rate of epoch `epoch`, counted from 1, by the batches that are left."""
        self._network.train()
        first = (epoch - 1) * self.steps_per_epoch
        for images_BCHW, targets in self._waited_for(batches):
            if self.step + STEPS_AHEAD >= self.steps_per_epoch:
                self._read_evaluation_ahead()
            done = first + self.step
            learning_rate = learning_rate_at(self.recipe, done, self.steps_per_epoch)
            ema_decay = ema_decay_at(self.recipe, done)
            self._loss_sum += self._step(images_BCHW, targets, learning_rate, ema_decay, between_passes)
            if self.step % STEPS_BETWEEN_CHECKS == 0:
                self._finite_mean_loss(epoch, self.step + 1)
            self.step += 1
            between_steps()
        last_rate = learning_rate_at(self.recipe, first + self.steps_per_epoch - 1, self.steps_per_epoch)
        return self._finite_mean_loss(epoch, self.steps_per_epoch), last_rate

    def _waited_for(self, batches: Iterator[tuple[Tensor, BatchTargets]]) -> Iterator[tuple[Tensor, BatchTargets]]:
        """The batches, with the time until each of them comes."""
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            self.waited_seconds += time.perf_counter() - start
            if batch is None:
                return
            yield batch

    def _step(
        self,
        images_BCHW: Tensor,
        targets: BatchTargets,
        learning_rate: float,
        ema_decay: float,
        between_passes: Callable[[], None],
    ) -> Tensor:
        """One step of the optimizer. The mean loss of the batch before it."""
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._optimizer.zero_grad(set_to_none=True)
        # Batch norm needs two images in a part.
        count = self.passes_of_step = max(1, min(self.micro_batches, len(targets) // 2))
        # Of which images the loss is the mean: several processes take the mean of theirs, or else the sum.
        whole = len(targets) if self._exact is None else self._batch_size
        parts: list[Tensor] = []
        for images, part in zip(images_BCHW.chunk(count), targets.chunk(count), strict=True):
            with self._gradients_kept_here(until_last=len(parts) + 1 < count):
                parts.append(self._backward(images, part, len(part) / whole))
            note_pass(self._norms)
            if self._exact is not None:
                self._exact.add()
            if len(parts) < count:
                self.passes_done = len(parts)
                between_passes()
        self.passes_done = 0
        if self._exact is not None:
            self._exact.finish(self._world_size)
            parts = list(in_batch_order(torch.stack(parts)[:, None], self._world_size)[:, 0])
        finish_step(self._norms, self._world_size, in_order=self._exact is not None)
        self._optimizer.step()
        if self._averaged is not None:
            update_average(self._averaged, self._model, ema_decay)
        return sum(parts[1:], parts[0])

    def _gradients_kept_here(self, *, until_last: bool) -> AbstractContextManager[None]:
        """The context of a part of a batch; several processes need only share the sum of the gradients of all parts."""
        if until_last and self._parallel is not None:
            return self._parallel.no_sync()
        return nullcontext()

    def _backward(self, images_BCHW: Tensor, targets: BatchTargets, share: float) -> Tensor:
        """Adds the gradients of a part of a batch to those there are. Its mean loss times its share of the batch."""
        with failures_named(self._compilation):
            with autocast(self.device, self.recipe.precision):
                loss = share * targets.loss_of(self._network, images_BCHW, self.recipe.label_smoothing)
            torch.autograd.backward(loss)
        return loss.detach()

    def _finite_mean_loss(self, epoch: int, steps: int) -> float:
        """The mean loss of the running epoch after so many steps. Raises Diverged where it is not finite."""
        if self._exact is not None:
            mean = self._loss_sum.item() / steps
        else:
            total = sum_over_processes(self._loss_sum.clone(), self._world_size)
            mean = total.item() / (steps * self._world_size)
        if not math.isfinite(mean):
            raise Diverged(epoch)
        return mean
