"""A network that torch.compile has made kernels for: the same results but for rounding.

What is compiled is what trains; the network itself, which is evaluated, checkpointed and kept, stays as it is, and so
do the names of its weights.
"""

import contextlib
from collections.abc import Iterator
from typing import cast

import torch
from torch import nn

from search_spaces.errors import UserError, first_line
from trainers.recipe import NOT_COMPILED


def compiled(network: nn.Module, compilation: str) -> nn.Module:
    """What trains in the place of a network: it is compiled where it is first called, which takes a minute or more.

    `compilation` is one of `trainers.recipe.COMPILATIONS`.
    """
    if compilation == NOT_COMPILED:
        return network
    # Kernels for sizes that vary fail to be made for some networks, and those of a training do not vary.
    return cast(nn.Module, torch.compile(network, mode=compilation, dynamic=False))


@contextlib.contextmanager
def failures_named(compilation: str) -> Iterator[None]:
    """Raises UserError where torch cannot compile in the context, as without a compiler of C++."""
    if compilation == NOT_COMPILED:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield
    except TorchDynamoException as error:
        reason = first_line(getattr(error, "inner_exception", error))
        raise UserError(
            f"recipe.compile is {compilation!r}: torch cannot compile this network here ({reason}): "
            f"recipe.compile={NOT_COMPILED} trains it as it is, to the same but for rounding."
        ) from error
