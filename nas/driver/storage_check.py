"""Room for what a search writes: how much it will need, and whether it is there."""

import random
import shutil

from nas.settings.run_directory import RunDirectory
from nas.settings.search_settings import SearchSettings
from search_spaces.architecture import Architecture
from search_spaces.errors import UserError
from search_spaces.space import Space
from trainers.checkpoint import KEPT, checkpoint_bytes
from trainers.data.config import DataSummary
from trainers.full.disk_room import allow_checkpoints
from trainers.recipe import Recipe

# The ledger, the MLflow store and the reports.
FIXED_BYTES = 50_000_000
SAMPLES = 32


def check_space(
    directory: RunDirectory,
    space: Space,
    data: DataSummary,
    recipe: Recipe,
    search: SearchSettings,
) -> None:
    """Raises UserError where the storage has less room than what the trials of a search are going to take, or files may
    not be as large as a checkpoint is.

    The checkpoints of all of them are kept until the search ends, here or at an address, whose room nobody knows. Their
    size is that of architectures drawn at random. Of a search that time or stagnation may end earlier, nobody knows
    more than that it begins.
    """
    open_ended = search.time_budget is not None or search.stagnation is not None
    trials = 1 if open_ended else min(search.trials, space.size())
    rng = random.Random(0)
    costs = [data.cost(architecture) for architecture in (*space.anchors(), *_samples(space, rng))]
    params = [cost.params for cost in costs if search.limits.allow(cost.flops, cost.params)] or [costs[0].params]
    mean = sum(params) / len(params)
    needed = float(FIXED_BYTES)
    if directory.storage is None:
        allow_checkpoints(max(params), recipe)
        needed += max(0, trials - len(directory.all_checkpoints.folders())) * KEPT * checkpoint_bytes(mean, recipe)
    existing = next(path for path in (directory.path, *directory.path.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise UserError(
            f"the runs directory {str(directory.runs)!r} has {free / 1e9:.2f} GB free, and {trials} trials of about "
            f"{mean:,.0f} parameters take {needed / 1e9:.2f} GB: make space, lower --trials, or name another directory."
        )


def _samples(space: Space, rng: random.Random) -> list[Architecture]:
    return [space.sample(rng) for _ in range(SAMPLES)]
