"""What went wrong with a training, by what was raised."""

import errno
from pathlib import Path

import pytest

from nas.engine.faults import Cause
from nas.settings.cluster_settings import ClusterSettings
from nas.workers.failure_causes import DataUnusable, StorageMissing, cause_of, reason_of
from nas.workers.node_resources import slots_on
from search_spaces.errors import UserError
from trainers.data.datasets import ImagesChanged
from trainers.data.loader_processes import LoadersStopped
from trainers.data.unreadable import UnreadableImages

ERRORS: list[tuple[Exception, Cause]] = [
    (ModuleNotFoundError("No module named 'x'"), "import"),
    (ImportError("libcudart.so.12: cannot open shared object file"), "import"),
    (ImagesChanged("they have changed"), "data"),
    (UnreadableImages("8 of 9", ["/data/a.png"]), "data"),
    (DataUnusable("there is no directory"), "data"),
    (FileNotFoundError(errno.ENOENT, "No such file", "/data/train/a.png"), "data"),
    (PermissionError(errno.EACCES, "Permission denied", b"/data/train/a.png"), "data"),
    (FileNotFoundError(errno.ENOENT, "No such file", "/database"), "storage"),
    (OSError(errno.ESTALE, "Stale file handle"), "storage"),
    (StorageMissing("it is not there"), "storage"),
    (TimeoutError("timed out"), "timeout"),
    (LoadersStopped("they hang"), "timeout"),
    (MemoryError(), "memory"),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory"),
    (
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
        "memory",
    ),
    (RuntimeError("unable to write to file </torch_12_3>: No space left on device (28)"), "memory"),
    (RuntimeError("unable to open shared memory object </torch_1> in read-write mode"), "memory"),
    (RuntimeError("out of resource: shared memory, Required: 147456, Hardware limit: 101376."), "error"),
    (RuntimeError("CUDA error: an illegal memory access was encountered"), "device"),
    (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "device"),
    (AssertionError("Torch not compiled with CUDA enabled"), "device"),
    (RuntimeError("Found no NVIDIA driver on your system."), "device"),
    (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "error"),
    (UserError("checkpoints of another training"), "error"),
    (ValueError("CUDA"), "error"),
]


@pytest.mark.parametrize(("error", "cause"), ERRORS, ids=lambda value: str(value)[:40])
def test_causes_by_what_was_raised(error: Exception, cause: Cause) -> None:
    assert cause_of(error, "/data") == cause
    try:
        raise KeyError("what followed") from error
    except KeyError as followed:
        assert cause_of(followed, "/data") == cause


def test_images_that_are_gone_are_named(tmp_path: Path) -> None:
    kept, gone = tmp_path / "kept.png", tmp_path / "gone.png"
    kept.touch()
    assert reason_of(UnreadableImages("many words", [str(kept), str(gone)])) == (
        f"images are gone: 1 of those that were to be read, such as {str(gone)!r}"
    )
    assert reason_of(ValueError("a\nb")) == "ValueError: a"


@pytest.mark.parametrize(
    ("cpus", "gpus", "a_cpu", "a_gpu", "slots"),
    [
        (4, 0, 1, 0, 4), (4, 0, 2, 0, 2), (1, 0, 2, 0, 0), (2, 0, 0.1, 0, 20),
        (16, 8, 1, 1, 8), (4, 8, 1, 1, 4), (16, 8, 1, 4, 2), (16, 2, 1, 0.4, 4), (16, 1, 1, 0.1, 10), (16, 0, 1, 1, 0),
    ],
)  # fmt: skip
def test_trials_fit_into_nodes_and_gpus_whole(cpus: int, gpus: int, a_cpu: float, a_gpu: float, slots: int) -> None:
    assert slots_on({"CPU": cpus, "GPU": gpus}, ClusterSettings("auto", a_gpu, a_cpu)) == slots
