"""How the batches of a trial lie over the processes that train it."""

from search_spaces.errors import UserError
from trainers.batch_layout import BatchLayout, layout_of
from trainers.recipe import Recipe


def trial_layout(training: Recipe, train_images: int, processes: int, *, on_gpus: bool) -> BatchLayout:
    """The layout; batch norm sees the whole batch where the training does not set its groups.

    Raises UserError where the processes cannot have equal shares.
    """
    norm_batch = training.norm_batch or None
    # On CPUs a group at a time comes out the same to the bit on any number of processes.
    micro_batch = None if on_gpus else norm_batch
    try:
        return layout_of(training.batch_size, train_images, processes, micro_batch, norm_batch)
    except UserError as error:
        raise UserError(str(error).replace("recipe.", "training.")) from None
