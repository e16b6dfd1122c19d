"""What the terminal says of a detector's training."""

from collections.abc import Mapping

from search_spaces.errors import printable
from search_spaces.units import counted
from trainers.data.free_memory import free_memory
from trainers.detection.coco_evaluation import SCORES
from trainers.detection.cpu_passes import memory_line
from trainers.detection.plan import DetectorPlan
from trainers.full.readout import batch_line, doubtful_lines, passes_line, scaled_line


def announce_detector(plan: DetectorPlan) -> None:
    """Says what is about to be trained, on what, and where it goes."""
    design, settings, data = plan.design, plan.settings, plan.data
    recipe, count = settings.recipe, plan.processes.world_size
    print(f"detector {design.model}, pyramid of {design.pyramid}, head of {design.head}")
    print(f"network  {design.architecture.label}")
    from_bundle = settings.backbone.bundle is not None
    print(f"weights  {'those of the bundle, its batch norms as they are' if from_bundle else 'from scratch'}")
    grey = ", in grey, as the network takes them" if len(design.mean) == 1 else ""
    print(f"data     {counted(len(data.classes), 'class', 'classes')}, {design.image_size} px{grey}")
    print(f"         {len(data.train)} train, {len(data.validation)} validation")
    for note in data.notes:
        print(f"         {printable(note)}")
    print(
        f"recipe   {counted(recipe.epochs, 'epoch')}, batch {recipe.batch_size}, "
        f"{recipe.optimizer}, learning rate {recipe.learning_rate:g}"
    )
    if settings.unscaled is not None:
        print(f"         {scaled_line(recipe, *settings.unscaled)}")
    print(f"batch    {passes_line(plan.layout) if design.frozen_norms else batch_line(plan.layout)}")
    on_cpu, free = plan.processes.device.type == "cpu", free_memory()
    memory = memory_line(design, plan.layout.micro_batch, free) if on_cpu and free else None
    for line in (*doubtful_lines(recipe, plan.layout), *([] if memory is None else [memory])):
        print(f"warning  {line}")
    print(f"device   {plan.processes.device}{f', {count} processes' if count > 1 else ''}, seed {settings.seed}")
    print(f"output   {plan.out}", flush=True)


def score_lines(scores: Mapping[str, float | None]) -> list[str]:
    """COCO's twelve numbers as a table."""
    return [f"{name:10} {'–' if scores[name] is None else f'{scores[name]:.4f}'}" for name in SCORES]
