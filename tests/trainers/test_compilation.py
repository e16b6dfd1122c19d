"""A network that torch has compiled trains as the one that it is made of, and leaves nothing of its own behind.

Most of it with the graphs that torch.compile makes, of which torch's own operators are called: kernels for them take a
minute of compiling.
"""

import copy
import dataclasses
import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from search_spaces.architecture import Architecture, Convolution
from search_spaces.errors import UserError
from search_spaces.paper_models import PAPER_ATTENTION
from tests.support.tiny_training import DATA, RECIPE
from trainers.batch_layout import layout_of
from trainers.checkpoint import newest_sound_checkpoint
from trainers.data.datasets import check_data, load_train_validation
from trainers.distributed import Processes
from trainers.epoch_result import EpochResult
from trainers.folders import Directory
from trainers.loop import Training
from trainers.model import seeded_model
from trainers.resumable import train_resumably

# Heads of an even number of channels each.
HYBRID = Architecture(
    "convolution",
    16,
    ((Convolution(),), (Convolution(),), (dataclasses.replace(PAPER_ATTENTION, heads=2),), (Convolution(),)),
)
# Four steps an epoch, each of two passes of two groups of batch norm.
SHORT = dataclasses.replace(RECIPE, epochs=2, batch_size=256, norm_batch=64)
ALONE = Processes(0, 1, torch.device("cpu"))


def training(compilation: str = "none") -> Training:
    splits = load_train_validation(DATA)
    layout = layout_of(SHORT.batch_size, len(splits[0]), 1, 128, SHORT.norm_batch)
    model = seeded_model(HYBRID, check_data(DATA), 1)
    return Training(model, *splits, SHORT, seed=1, device="cpu", layout=layout, compilation=compilation)


def weights(of: Training) -> dict[str, Tensor]:
    return of.evaluated_model.state_dict()


def assert_alike(one: Training, other: Training, tolerance: float = 1e-4) -> None:
    torch.testing.assert_close(weights(one), weights(other), rtol=1e-3, atol=tolerance)


def trained(directory: Path, compilation: str, epochs: int) -> Training:
    """The training after so many epochs more, by its checkpoints."""
    found: list[Training] = []

    def make() -> Training:
        found.append(training(compilation))
        return found[-1]

    results = train_resumably(make, Directory(directory), ALONE, lambda resumed: resumed.epochs())
    for _ in range(epochs):
        assert isinstance(next(results), EpochResult)
    return found[-1]


def test_a_network_is_compiled_once_trains_alike_and_goes_on_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    with monkeypatch.context() as patched:
        patched.setattr(torch, "compile", lambda network, **_: torch._dynamo.optimize(counter, dynamic=False)(network))
        compiled = trained(tmp_path / "compiled", "default", 1)
    # In one piece, attention included, whatever the pass and the step.
    assert counter.frame_count == 1
    assert [node for graph in counter.graphs for node in graph.graph.nodes if "numba" in str(node.target)]
    plain = trained(tmp_path / "plain", "none", 1)
    assert_alike(plain, compiled)
    checkpoint = newest_sound_checkpoint(Directory(tmp_path / "compiled"))
    assert checkpoint is not None and checkpoint[1]["training"]["model"].keys() == weights(plain).keys()
    assert_alike(trained(tmp_path / "plain", "none", 1), trained(tmp_path / "compiled", "none", 1))


def test_where_torch_cannot_compile_it_is_a_mistake_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_compiler(*_: object) -> Any:
        raise FileNotFoundError("no compiler of C++")

    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=without_compiler))
    with pytest.raises(UserError, match=r"recipe.compile is 'default': .*no compiler of C\+\+.*recipe.compile=none"):
        next(training("default").epochs())


@pytest.mark.slow
def test_kernels_of_the_whole_network_have_the_gradients_of_float64_and_take_up_what_trained_without(
    tmp_path: Path,
) -> None:
    """Steps would not tell: at this learning rate they make of a rounding of 1e-6 a hundredth within eight."""
    torch._dynamo.reset()
    network = seeded_model(HYBRID, check_data(DATA), 1).train()
    random = torch.Generator().manual_seed(0)
    for values in network.parameters():
        if values.ndim == 1:  # the last scale of a block begins at 0, and nothing would come through it
            torch.nn.init.uniform_(values, 0.5, 1.5, generator=random)
    images, labels = torch.randn(64, 1, 16, 16, generator=random), torch.randint(10, (64,), generator=random)

    def gradients(compiled: bool, dtype: torch.dtype) -> dict[str, Tensor]:
        copied = copy.deepcopy(network).to(dtype)
        call = torch.compile(copied) if compiled else copied
        torch.nn.functional.cross_entropy(call(images.to(dtype)), labels).backward()
        return {name: found.grad.double() for name, found in copied.named_parameters() if found.grad is not None}

    exact = gradients(False, torch.float64)
    found = gradients(True, torch.float32)
    assert found.keys() == exact.keys() == dict(network.named_parameters()).keys()
    for name, gradient in exact.items():
        assert (found[name] - gradient).norm() < 1e-4 * gradient.norm(), name
    before = weights(trained(tmp_path, "none", 1))
    after = weights(trained(tmp_path, "default", 1))
    assert before.keys() == after.keys() and all(values.isfinite().all() for values in after.values())
