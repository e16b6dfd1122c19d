"""Reading batches in loader processes, where a machine lets it, and an end in words where those die or hang."""

import contextlib
import functools
import logging
import multiprocessing
import os
import shutil
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from search_spaces.blocked_signals import blocked, let_through
from search_spaces.errors import first_line
from search_spaces.exit_codes import SIGNAL_EXIT_CODES
from search_spaces.machine import allowed_file_bytes

# So long may pass between two batches: some hundred images, from the slowest of disks.
LONGEST_SILENCE_SECONDS = 300.0
SHARED_MEMORY = "/dev/shm"
# Of the shared memory that is free one training may take so large a part: others train beside it.
SHARE = 1 / 16
# How many batches each process reads ahead, as torch has it.
READ_AHEAD = 2
# How often a loader process looks whether the one that it reads for is still there.
SECONDS_BETWEEN_LOOKS = 0.2
# By this signal a loader process ends in order, and so long may that take.
END, SECONDS_TO_END = signal.SIGUSR2, 5.0
# Those that it does not leave to torch.
_OF_PROCESSES = (END, *SIGNAL_EXIT_CODES)

# Tensors, and whatever goes with them.
Batch = tuple[Any, ...]

logger = logging.getLogger(__name__)


class LoadersStopped(Exception):
    """The loader processes have died, or hang."""


@contextlib.contextmanager
def deaths_in_words() -> Iterator[None]:
    """Raises LoadersStopped where torch says that loader processes have died, in the middle of whatever runs here."""
    try:
        yield
    except RuntimeError as error:
        # torch has no error of its own for them.
        if not str(error).startswith("DataLoader "):
            raise
        raise LoadersStopped(
            f"the loader processes gave nothing more ({first_line(error).rstrip('. ')}): with "
            "data.loader_workers=0 the process that trains reads the images."
        ) from error


class Loader:
    """So many processes that make batches by `read`, which live as long as this does and not for an epoch alone.

    They are copies of this process as it was when they were first needed, and keep what it held then: it is well to
    need them before a training has filled its memory.
    """

    def __init__(self, read: Callable[[Any], Batch], processes: int) -> None:
        self._read, self._count = read, processes
        self._requests = _Requests()
        self._processes: _Processes | None = None
        self._turn = 0

    def batches(self, requests: Sequence[Any], *, batch_bytes: int, pin_memory: bool) -> Iterator[Batch]:
        """What `read` makes of each of these requests, in order, of `batch_bytes` at most; it begins to read at once.

        Whatever an earlier call has not handed out yet is dropped. Batches pass through pipes, which takes this process
        some 0.2 ms an image of 224 pixels, and to a GPU (`pin_memory`) through shared memory where there is plenty.
        Where no process can be had, this one reads. Raises LoadersStopped, here or later, where the processes die or
        give nothing for LONGEST_SILENCE_SECONDS.
        """
        self._turn += 1
        with self._killed_where_they_stop():
            read = self._begun(requests, batch_bytes, pin_memory)
        return self._handed_out(read, self._turn)

    def _begun(self, requests: Sequence[Any], batch_bytes: int, pin_memory: bool) -> Iterator[Any]:
        if self._count:
            # A tensor goes through shared memory, as a file. Where that is full the batch is lost, and torch waits for
            # it for ever, as it does for the tensor of a process that has frozen since.
            free = _free_shared_memory() if batch_bytes <= allowed_file_bytes() else 0
            shares_memory = pin_memory and READ_AHEAD * self._count * batch_bytes < SHARE * free
            self._requests.now = requests
            try:
                there = self._processes
                if there is not None and there.passing == (pin_memory, shares_memory) and there.are_alive():
                    return iter(there.loader)
                self._processes = there = None  # Those there are end here.
                return self._start(pin_memory, shares_memory)
            except OSError as error:
                _warn_once(
                    f"No loader processes can be had here ({error.strerror or first_line(error)}), so the process that "
                    "trains reads the images. They take a /dev/shm that can be written, and room within `ulimit -u`."
                )
        return iter(DataLoader(_Read(self._read), None, sampler=requests, collate_fn=_as_it_is, pin_memory=pin_memory))

    def _start(self, pin_memory: bool, shares_memory: bool) -> Iterator[Any]:
        # torch seeds it in each of them. What is loaded here is not loaded by each, nor amid what they begin with.
        import numpy.random  # noqa: F401

        others = set(multiprocessing.active_children())
        multiprocessing.get_context().Lock()  # Without one torch's own attempt ends in the middle.
        loader: DataLoader[Any] = DataLoader(
            _Read(self._read),
            None,
            sampler=self._requests,
            collate_fn=_as_it_is if shares_memory else _as_arrays,
            num_workers=self._count,
            persistent_workers=True,
            prefetch_factor=READ_AHEAD,
            pin_memory=pin_memory,
            timeout=LONGEST_SILENCE_SECONDS,
            worker_init_fn=functools.partial(_live_with_the_reader, os.getpid()),
        )
        with blocked(_OF_PROCESSES):
            read = iter(loader)
        started = frozenset(set(multiprocessing.active_children()) - others)
        self._processes = _Processes(loader, read, (pin_memory, shares_memory), started)
        weakref.finalize(self, _end, os.getpid(), started)
        return read

    def _handed_out(self, read: Iterator[Any], turn: int) -> Iterator[Batch]:
        while True:
            assert turn == self._turn, "other batches were asked for since"
            with self._killed_where_they_stop():
                batch = next(read, None)
            if batch is None:
                return
            yield tuple(torch.from_numpy(part) if isinstance(part, np.ndarray) else part for part in batch)

    @contextlib.contextmanager
    def _killed_where_they_stop(self) -> Iterator[None]:
        try:
            with deaths_in_words():
                yield
        except LoadersStopped:
            self._kill()
            raise

    def _kill(self) -> None:
        if self._processes is None:
            return
        self._processes.read._shutdown_workers()
        # One that is frozen is still there, and the end of this process would wait for it for ever.
        for process in self._processes.started:
            process.kill()
            process.join()
        self._processes = None


@dataclass(frozen=True, slots=True)
class _Processes:
    """Processes that have started, what hands their batches out, and how those get here: pinned, and through shared
    memory, each or not.
    """

    loader: "DataLoader[Any]"
    read: Any
    passing: tuple[bool, bool]
    started: frozenset[BaseProcess]

    def are_alive(self) -> bool:
        return all(process.is_alive() for process in self.started)


class _Requests(Sampler[Any]):
    """What is asked for now: processes that live on take what this says when they are asked again."""

    def __init__(self) -> None:
        self.now: Sequence[Any] = ()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.now)


class _Read(Dataset[Batch]):
    """A function as torch takes it."""

    def __init__(self, read: Callable[[Any], Batch]) -> None:
        self._read = read

    def __getitem__(self, request: Any) -> Batch:
        return self._read(request)


def _end(reader: int, started: Iterable[BaseProcess]) -> None:
    """Ends the processes of a loader that is no more, or that is still held when the one that reads comes to its end.

    torch asks them to end through queues. Where the loader is collected in a cycle these have lost their threads by
    then, and when it is held to the end, as by a traceback, torch does not ask. Either way it would wait for them for
    ever, as they do for it: they ignore the signal by which it ends what it has started.
    """
    if os.getpid() != reader:
        return  # In a copy of the process that reads, whose they are not.
    alive = [process for process in started if process.is_alive()]
    for process in alive:
        assert process.pid is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, END)
    for process in alive:
        process.join(SECONDS_TO_END)
        if process.is_alive():
            # Frozen. To torch that is an error in the middle of whatever runs here.
            with contextlib.suppress(RuntimeError):
                process.kill()
                process.join()


def _live_with_the_reader(reader: int, number: int) -> None:
    """Ends with the process that reads, not by a signal that a job system, timeout(1) or a terminal sends to all.

    torch has SIGTERM end a loader process at once, which is an error to the one that is being asked to end in order.
    And where that one is killed, torch's own end waits for ever to hand over the last batch: each of its loader
    processes holds the end of the pipe that nobody reads any more, and with it whatever file the reader had locked.
    """
    for sent_to_all in SIGNAL_EXIT_CODES:
        signal.signal(sent_to_all, signal.SIG_IGN)
    signal.signal(END, _leave)
    # Blocked since this process was started, which took torch a while.
    let_through(_OF_PROCESSES)
    threading.Thread(target=_end_after, args=(reader,), daemon=True).start()


def _leave(number: int, frame: object) -> None:
    # Zero: anything else torch takes for an error.
    os._exit(0)


def _end_after(reader: int) -> None:
    while os.getppid() == reader:
        time.sleep(SECONDS_BETWEEN_LOOKS)
    os._exit(1)


def _as_it_is(batch: Any) -> Any:
    return batch


def _as_arrays(batch: Any) -> Batch:
    return tuple(part.numpy() if isinstance(part, Tensor) else part for part in batch)


def _free_shared_memory() -> int:
    """In bytes; 0 where there is none."""
    try:
        return shutil.disk_usage(SHARED_MEMORY).free
    except OSError:
        return 0


@functools.lru_cache(maxsize=8)
def _warn_once(message: str) -> None:
    logger.warning("%s", message)
