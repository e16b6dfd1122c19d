"""What a full training says of itself: narrow lines to read."""

from typing import Any

from search_spaces.errors import printable
from search_spaces.units import counted, readable_count, readable_duration
from trainers.batch_layout import BatchLayout
from trainers.data.findings import DataFindings
from trainers.data.loader_processes import LoadersStopped
from trainers.epoch_result import EpochResult
from trainers.full.plan import Plan
from trainers.full.train_settings import EARLIER_FORMAT
from trainers.loop import Diverged
from trainers.recipe import NOT_COMPILED, Recipe
from trainers.schedule import unfinished_warmup


def announce(plan: Plan) -> None:
    """Says what is about to be trained, on what, how and where."""
    settings, summary, processes = plan.settings, plan.summary, plan.processes
    recipe, count = settings.recipe, processes.world_size
    print(f"network  {settings.architecture.label}")
    print(f"         {readable_count(plan.cost.flops)} FLOPs, {readable_count(plan.cost.params)} parameters")
    if plan.initial is not None:
        print(f"weights  {plan.initial.note}")
    print(f"data     {summary.name}, {summary.image_size} px, {summary.classes} classes")
    sizes = f"{summary.train_images} train, {summary.validation_images} validation, {summary.test_images} test"
    print(f"         {sizes}")
    for note in plan.data_notes:
        print(f"warning  {printable(note)}")
    for line in findings_lines(plan.findings):
        print(f"         {line}")
    print(f"recipe   {settings.recipe_source}")
    epochs = counted(recipe.epochs, "epoch")
    print(f"         {epochs}, batch {recipe.batch_size}, learning rate {recipe.learning_rate:g}")
    if settings.unscaled is not None:
        print(f"         {scaled_line(recipe, *settings.unscaled)}")
    print(f"         {recipe.optimizer}; images {augmentation_line(recipe)}")
    print(f"batch    {batch_line(plan.layout)}")
    for line in doubtful_lines(recipe, plan.layout):
        print(f"warning  {line}")
    how = "" if settings.conduct.compile == NOT_COMPILED else f", compiled ({settings.conduct.compile})"
    print(f"device   {processes.device}{f', {count} processes' if count > 1 else ''}{how}, seed {settings.seed}")
    print(f"output   {plan.out}", flush=True)


def scaled_line(recipe: Recipe, batch: int, learning_rate: float) -> str:
    """From which batch and learning rate of a recipe that of the batch follows, and how."""
    rule = "in proportion to the batch" if recipe.optimizer == "sgd" else "by the square root of the batch"
    return f"(learning rate {learning_rate:g} at batch {batch}, {rule})"


def augmentation_line(recipe: Recipe) -> str:
    """What is done to training images."""
    first, last = recipe.first_image_size, recipe.train_image_size
    parts = [
        *(name for name in (recipe.augment, recipe.policy) if name != "none"),
        f"erasing {recipe.random_erasing:g}" if recipe.random_erasing else "",
        f"mixup {recipe.mixup:g}" if recipe.mixup else "",
        f"cutmix {recipe.cutmix:g}" if recipe.cutmix else "",
        f"{recipe.repeats} times each" if recipe.repeats > 1 else "",
        f"{f'{first} to ' if first else ''}{last} px" if last else "",
    ]
    return ", ".join(filter(None, parts)).replace("_", " ") or "as they are"


def batch_line(layout: BatchLayout) -> str:
    """How each batch goes through the network, and what batch norm sees of it."""
    whole = layout.norm_batch == layout.batch_size
    return f"{passes_line(layout)}, batch norm over {'all' if whole else layout.norm_batch}"


def passes_line(layout: BatchLayout) -> str:
    """How each batch goes through the network."""
    factors = [
        f"{layout.world_size} processes × " if layout.world_size > 1 else "",
        f"{layout.passes} passes × " if layout.passes > 1 else "",
    ]
    return f"{''.join(factors)}{layout.micro_batch} images"


def doubtful_lines(recipe: Recipe, layout: BatchLayout) -> list[str]:
    """What of the recipe does not come to be: a batch of more images than there are, a warm-up that is not over."""
    lines = []
    if layout.batch_size != recipe.batch_size:
        size = recipe.batch_size
        lines.append(
            f"a batch of {size} is more than there is to train on: one step an epoch, of {layout.batch_size} images, "
            f"at the learning rate of {size}"
        )
    return [*lines, *unfinished_warmup(recipe)]


def continuation_lines(plan: Plan, earlier_world_size: int | None) -> list[str]:
    """What is other than before in a training that goes on, of `earlier_world_size` processes if that is known."""
    world_size = plan.processes.world_size
    longer = longer_lines(plan.longer_than, plan.settings.recipe.epochs)
    if earlier_world_size is None and world_size > 1 and plan.settings.format == EARLIER_FORMAT:
        return [*longer, "batch norm, which saw each process alone, sees the whole batch from here on"]
    return [*longer, *processes_lines(world_size, earlier_world_size)]


def longer_lines(longer_than: int | None, epochs: int) -> list[str]:
    """That a training is made longer, if it is."""
    if longer_than is None:
        return []
    return [f"made longer, from {longer_than} epochs to {epochs}: its learning rate is that of {epochs}"]


def processes_lines(world_size: int, earlier_world_size: int | None) -> list[str]:
    """That a training goes on with another number of processes, if it does and that is known."""
    if earlier_world_size in (None, world_size):
        return []
    now = counted(world_size, "process", "processes")
    return [f"on {now}, before on {earlier_world_size}: the same batches, rounded otherwise"]


def measured_lines(result: dict[str, Any]) -> list[str]:
    """What else was measured at the end, beside accuracy. Results of earlier code have nothing of it."""
    measured, robustness = result.get("measured"), result.get("robustness")
    lines = []
    if measured is not None:
        top = "" if measured["top5_accuracy"] is None else f"top-5 {measured['top5_accuracy']:.2%}, "
        lines.append(
            f"         {top}loss {measured['loss']:.4f}, calibration error {measured['calibration_error']:.2%}, "
            f"{measured['images']:,} images"
        )
        worst = ", ".join(
            f"{printable(each['class'])} {each['accuracy']:.0%}" for each in result["hardest_classes"][:3]
        )
        lines.append(f"hardest  {worst}")
    if robustness is not None:
        lines.append(f"         {robustness['accuracy']:.2%} on corrupted images, on average")
    return lines


def unreadable_line(result: dict[str, Any]) -> str | None:
    """How many images a full training could not read and what was done about them, None where it read all."""
    counts = result.get("unreadable_images", {})  # Results of earlier code have none.
    others = " and ".join(f"{counts[split]} {split}" for split in ("validation", "test") if counts.get(split))
    parts = [
        f"{counts['train']} train, in whose place others stood" if counts.get("train") else "",
        f"{others}, left out" if others else "",
    ]
    said = "; ".join(filter(None, parts))
    return f"{sum(counts.values())} could not be read: {said}" if said else None


def failure_line(error: Exception) -> str:
    """What one of `TRAINING_FAILURES` means, and what to try."""
    if isinstance(error, Diverged):
        return f"{error}: try a lower recipe.learning_rate, in another --out."
    if isinstance(error, LoadersStopped):
        return str(error)
    return "the GPU's memory does not suffice: try a lower recipe.micro_batch, or more GPUs."


def findings_lines(findings: DataFindings | None) -> list[str]:
    """What was found of images in folders, a table in plain text."""
    if findings is None:
        return []
    rows = findings.rows()
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return [
        f"images in {printable(findings.root)}",
        *(f"{what:<{widths[0]}}  {count:>{widths[1]}}  {rest}" for what, count, rest in rows),
    ]


def epoch_line(result: EpochResult, epochs: int, seconds_left: float) -> str:
    """One epoch in one line."""
    took, left = readable_duration(result.epoch_seconds), readable_duration(seconds_left)
    return (
        f"epoch {result.epoch:>{len(str(epochs))}}/{epochs}  loss {result.train_loss:.4f}  "
        f"val {result.val_accuracy:7.2%}  {took}, {left} left"
    )
