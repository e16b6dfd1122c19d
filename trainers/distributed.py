"""The processes of one training: this one alone, or those that torchrun started."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
from torch._C._distributed_c10d import FileStore, PrefixStore, Store, TCPStore

from search_spaces.errors import UserError, first_line
from trainers.storage.remote_folder import StorageLost

T = TypeVar("T")
_Error = UserError | OSError

# Processes that torchrun starts arrive within seconds of each other; imports from a busy file server take longer.
LONGEST_MEETING_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Processes:
    """This process's number among all, and the device that it computes on.

    `group` is held so that it outlives DistributedDataParallel, whose reducer drops its own hold with Python's lock
    taken. Were that the last, it would wait for gloo's threads, and those may wait for the lock: to let go of the
    Python context in which the last gradients were sent.
    """

    rank: int
    world_size: int
    device: torch.device
    group: torch.distributed.ProcessGroup | None = field(default=None, repr=False, compare=False)

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def from_first(self, compute: Callable[[], T]) -> T:
        """What `compute` gives in the first process, in all of them; so does a UserError or OSError that it raises."""
        found: list[tuple[T | None, _Error | None]] = [_attempt(compute) if self.is_first else (None, None)]
        if self.world_size > 1:
            torch.distributed.broadcast_object_list(found, 0, device=torch.device("cpu"))
        value, error = found[0]
        if error is not None:
            raise error
        return value  # type: ignore[return-value]

    def in_all(self, compute: Callable[[], T]) -> T:
        """What `compute` gives here. A UserError or OSError in any process is raised in all of them."""
        value, error = _attempt(compute)
        errors = [error]
        if self.world_size > 1:
            errors = [None] * self.world_size
            torch.distributed.all_gather_object(errors, error)
        for found in errors:
            if found is not None:
                raise found
        return value  # type: ignore[return-value]

    def largest(self, value: int) -> int:
        """The largest of the values of all processes, without waiting for what a GPU computes."""
        if self.world_size == 1:
            return value
        values = torch.tensor([value])
        torch.distributed.all_reduce(values, torch.distributed.ReduceOp.MAX)
        return int(values.item())

    def all_of(self, names: set[str]) -> set[str]:
        """The names of all processes."""
        found = [names]
        if self.world_size > 1:
            found *= self.world_size
            torch.distributed.all_gather_object(found, names)
        return set().union(*found)

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
    return _joined(rank, world_size, chosen, lambda: _torchruns_store(rank, world_size))


def join_by_file(file: Path, rank: int, world_size: int, device: str) -> Processes:
    """Joins processes of this machine alone, each on a GPU of its own where `device` is one, that meet in a new file.

    Raises UserError where the device is not there, or not all of them come.
    """

    def store() -> Store:
        return _all_arrived(FileStore(str(file), world_size), world_size, str(file))

    return _joined(rank, world_size, _device(device, rank, world_size), store)


def _joined(rank: int, world_size: int, device: torch.device, store: Callable[[], Store]) -> Processes:
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if world_size > 1:
        # Objects and the CPU go through gloo, tensors on GPUs through NCCL.
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        torch.distributed.init_process_group(backend, store=store(), rank=rank, world_size=world_size)
        return Processes(rank, world_size, device, torch.distributed.group.WORLD)
    return Processes(rank, world_size, device)


def is_lost_connection(error: RuntimeError) -> bool:
    """Whether an error says that another process has gone. Gloo has no error of its own for that."""
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error)


def _torchruns_store(rank: int, world_size: int) -> Store:
    """Where the processes that torchrun started find each other. Raises UserError where not all of them come.

    torchrun keeps one store for all that it starts: processes that are started again must not take up the addresses
    that those before them left there.
    """
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    is_torchruns = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    limit = timedelta(seconds=LONGEST_MEETING_SECONDS)
    try:
        served = TCPStore(
            host, port, None if is_torchruns else world_size, rank == 0 and not is_torchruns, timeout=limit
        )
    except RuntimeError as error:
        raise _not_met(world_size, f"{host}:{port}", error) from error
    start = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return _all_arrived(
        PrefixStore(f"full-training/start-{start}/of-{world_size}", served), world_size, f"{host}:{port}"
    )


def _all_arrived(store: Store, world_size: int, place: str) -> Store:
    """The store, once all processes have come to it. Raises UserError where not all of them do."""
    try:
        if store.add("arrived", 1) == world_size:
            store.set("all arrived", "")
        store.wait(["all arrived"], timedelta(seconds=LONGEST_MEETING_SECONDS))
    except RuntimeError as error:  # Its own errors, too, are RuntimeErrors.
        raise _not_met(world_size, place, error) from error
    return store


def _not_met(world_size: int, place: str, error: RuntimeError) -> UserError:
    return UserError(
        f"the {world_size} processes of this training do not find each other at {place}: {first_line(error)}."
    )


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


def _attempt(compute: Callable[[], T]) -> tuple[T | None, _Error | None]:
    try:
        return compute(), None
    except UserError as error:
        # Of what is derived from it another process would need more than its message.
        return None, UserError(str(error))
    except OSError as error:
        if error.errno is not None:
            return None, OSError(error.errno, error.strerror, error.filename)
        # Whoever hears of it has to know that it was the storage.
        return None, (StorageLost if isinstance(error, StorageLost) else OSError)(str(error))
