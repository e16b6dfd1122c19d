"""What a full training says of itself: narrow lines to read."""

from trainers.epoch_result import EpochResult
from trainers.full.plan import Plan


def announce(plan: Plan) -> None:
    """Says what is about to be trained, on what, how and where."""
    settings, summary, processes = plan.settings, plan.summary, plan.processes
    recipe, count = settings.recipe, processes.world_size
    print(f"network  {settings.architecture.label}")
    print(f"         {_short(plan.cost.flops)} FLOPs, {_short(plan.cost.params)} parameters")
    print(f"data     {summary.name}, {summary.image_size} px, {summary.classes} classes")
    sizes = f"{summary.train_images} train, {summary.validation_images} validation, {summary.test_images} test"
    print(f"         {sizes}")
    print(f"recipe   {settings.recipe_source}")
    print(f"         {recipe.epochs} epochs, batch {recipe.batch_size}, learning rate {recipe.learning_rate:g}")
    print(f"device   {processes.device}{f', {count} processes' if count > 1 else ''}, seed {settings.seed}")
    print(f"output   {plan.out}", flush=True)


def epoch_line(result: EpochResult, epochs: int, seconds_left: float) -> str:
    """One epoch in one line."""
    return (
        f"epoch {result.epoch:>{len(str(epochs))}}/{epochs}  loss {result.train_loss:.4f}  "
        f"val {result.val_accuracy:7.2%}  {duration(result.epoch_seconds)}, {duration(seconds_left)} left"
    )


def duration(seconds: float) -> str:
    """A time to read: `4.2 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"
    return f"{int(seconds) // 3600} h {int(seconds) % 3600 // 60:02d} min"


def _short(number: int) -> str:
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= factor:
            return f"{number / factor:.3g} {letter}"
    return str(number)
