"""A fixture: this process alone is a process group, for the tests of a module that imports it."""

import gc
from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(scope="module")
def process_group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The group outlives what reduces gradients in it (`trainers.distributed.Processes` says why it has to)."""
    store = tmp_path_factory.mktemp("group") / "store"
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    yield
    gc.collect()
    torch.distributed.destroy_process_group()
