"""The processes of one training: this one alone, or those that torchrun started."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from search_spaces.errors import UserError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Processes:
    """This process's number among all, and the device that it computes on."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def from_first(self, compute: Callable[[], T]) -> T:
        """What `compute` gives in the first process, in all of them; so does a UserError that it raises."""
        found: list[tuple[T | None, str | None]] = [_attempt(compute) if self.is_first else (None, None)]
        if self.world_size > 1:
            torch.distributed.broadcast_object_list(found, 0, device=torch.device("cpu"))
        value, error = found[0]
        if error is not None:
            raise UserError(error)
        return value  # type: ignore[return-value]

    def in_all(self, compute: Callable[[], T]) -> T:
        """What `compute` gives here. A UserError in any process is raised in all of them."""
        value, error = _attempt(compute)
        errors = [error]
        if self.world_size > 1:
            errors = [None] * self.world_size
            torch.distributed.all_gather_object(errors, error)
        for found in errors:
            if found is not None:
                raise UserError(found)
        return value  # type: ignore[return-value]

    def smallest(self, value: int) -> int:
        """The smallest of the values of all processes."""
        values: list[int] = [value]
        if self.world_size > 1:
            values *= self.world_size
            torch.distributed.all_gather_object(values, value)
        return min(values)

    def leave(self) -> None:
        """Ends the connection between the processes."""
        if self.world_size > 1:
            # One that leaves earlier would be taken for dead by those that are still at work.
            torch.distributed.barrier()
            torch.distributed.destroy_process_group()


def join_processes(device: str) -> Processes:
    """Joins the processes that torchrun started, if it did. `device` is "auto" or a torch device.

    Raises UserError where the device is not there.
    """
    rank, world_size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    chosen = _device(device, int(os.environ.get("LOCAL_RANK", "0")), world_size)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if world_size > 1:
        # Objects and the CPU go through gloo, tensors on GPUs through NCCL.
        torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo")
    return Processes(rank, world_size, chosen)


def _device(name: str, local_rank: int, world_size: int) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"--device is {name!r}: expected auto, cpu, cuda or cuda:N.") from None
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"--device is {name!r}: expected auto, cpu, cuda or cuda:N.")
    if device.type == "cpu":
        return device
    index = device.index if device.index is not None and world_size == 1 else local_rank
    if index >= torch.cuda.device_count():
        raise UserError(
            f"--device is {name!r}: there are {torch.cuda.device_count()} CUDA devices for process {index}."
        )
    return torch.device("cuda", index)


def _attempt(compute: Callable[[], T]) -> tuple[T | None, str | None]:
    try:
        return compute(), None
    except UserError as error:
        return None, str(error)
