"""One step of the optimizer and of the averaged weights, against what they must compute."""

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tests.support.present import present
from trainers.data.augmentation import Augmentation
from trainers.loop import Training
from trainers.optimizer import make_optimizer, update_average
from trainers.recipe import OPTIMIZERS, Recipe


def test_first_step_is_nesterov_with_decay_on_weights_only() -> None:
    """One step on one linear layer and its batch norm against the update written out."""

    class Images:
        def __len__(self) -> int:
            return 8

        def batches(
            self, indices: Iterable[Tensor], device: torch.device, augmentation: Augmentation | None = None
        ) -> Iterator[tuple[Tensor, Tensor]]:
            for index in indices:
                yield inputs[index], labels[index]

    torch.manual_seed(0)
    inputs, labels = torch.randn(8, 3), torch.arange(8) % 2
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))
    before = {name: value.detach().clone().requires_grad_() for name, value in model.named_parameters()}
    recipe = Recipe(1, 8, 0.1, 0.9, 0.5, 0.1, 0.0, 0.0, "none", "float32")
    run = Training(model, Images(), Images(), recipe, seed=0, device="cpu")
    list(run.epochs())
    hidden = F.batch_norm(inputs, None, None, before["0.weight"], before["0.bias"], training=True)
    logits = F.linear(hidden, before["1.weight"], before["1.bias"])
    F.cross_entropy(logits, labels, label_smoothing=0.1).backward()
    for name, value in model.named_parameters():
        old = before[name]
        gradient = present(old.grad) + (0.5 * old if name == "1.weight" else 0)
        # The first Nesterov step: the velocity is the gradient, and the step looks ahead by momentum times it.
        torch.testing.assert_close(value, old - 0.1 * (gradient + 0.9 * gradient), msg=name)


def test_adamw_decays_weights_alone_and_has_the_momentum_as_its_first_beta() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.Flatten(), nn.Linear(45, 3))
    recipe = Recipe(1, 8, 0.1, 0.8, 0.5, 0.1, 0.0, 0.0, "none", "float32", optimizer="adamw")
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer = make_optimizer(model, recipe)
    assert [group["betas"] for group in optimizer.param_groups] == [(0.8, 0.999)] * 2
    model(torch.randn(4, 2, 5, 5)).square().sum().backward()
    optimizer.step()
    for name, value in model.named_parameters():
        # The first step is as long as the learning rate, but where there is no gradient.
        step = 0.1 * present(value.grad) / (present(value.grad).abs() + 1e-8)
        kept = 0.95 if name in ("0.weight", "3.weight") else 1.0
        torch.testing.assert_close(value, kept * before[name] - step, msg=name)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_muon_makes_steps_of_kernels_orthogonal_and_adamw_steps_of_all_else(memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(54, 3))
    model.to(memory_format=memory_format)  # type: ignore[call-overload, unused-ignore]
    recipe = Recipe(1, 8, 0.01, 0.9, 0.5, 0.1, 0.0, 0.0, "none", "float32", optimizer="muon")
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer = make_optimizer(model, recipe)
    inputs = torch.randn(8, 4, 5, 5)
    for _ in range(2):
        optimizer.zero_grad(set_to_none=True)
        model(inputs).square().sum().backward()
    optimizer.step()
    kernel = model[0].weight
    assert isinstance(kernel, nn.Parameter) and kernel.is_contiguous(memory_format=memory_format)
    step = (before["0.weight"] * (1 - 0.01 * 0.5) - kernel.detach()).flatten(1) / (0.01 * 0.2 * 36**0.5)
    # Five iterations in bfloat16 bring all singular values near 1.
    assert (torch.linalg.svdvals(step) - 1).abs().max() < 0.4
    # In the direction of the gradient: what is orthogonal to it would be a mistake of the layout.
    left, _, right = torch.linalg.svd(present(kernel.grad).flatten(1), full_matrices=False)
    torch.testing.assert_close(step, left @ right, atol=0.25, rtol=0)
    adamw = copy.deepcopy(before)
    for name in ("1.weight", "1.bias", "4.bias"):
        gradient = present(model.get_parameter(name).grad)
        torch.testing.assert_close(
            model.get_parameter(name), adamw[name] - 0.01 * gradient / (gradient.abs() + 1e-8), msg=name
        )


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_optimizer_goes_on_from_its_state_to_the_bit(optimizer: str) -> None:
    recipe = Recipe(1, 8, 0.01, 0.9, 0.5, 0.1, 0.0, 0.0, "none", "float32", optimizer=optimizer)
    inputs = torch.randn(4, 2, 5, 5)

    def steps(model: nn.Module, using: Any, count: int) -> None:
        for _ in range(count):
            using.zero_grad(set_to_none=True)
            model(inputs).square().sum().backward()
            using.step()

    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.Flatten(), nn.Linear(45, 3))
    first = make_optimizer(model, recipe)
    steps(model, first, 3)
    other = copy.deepcopy(model)
    second = make_optimizer(other, recipe)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    steps(model, first, 2)
    steps(other, second, 2)
    assert all(torch.equal(one, two) for one, two in zip(model.parameters(), other.parameters(), strict=True))


def test_average_weighs_model_and_average() -> None:
    averaged, model = nn.BatchNorm1d(4), nn.BatchNorm1d(4)
    nn.init.constant_(averaged.weight, 1.0)
    nn.init.constant_(model.weight, 3.0)
    present(model.running_mean).fill_(8.0)
    present(model.num_batches_tracked).fill_(7)
    update_average(averaged, model, 0.75)
    assert averaged.weight.tolist() == [1.5] * 4
    assert present(averaged.running_mean).tolist() == [2.0] * 4
    assert present(averaged.num_batches_tracked).item() == 7


def test_averages_are_to_the_bit_those_of_torch() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.Flatten(), nn.Linear(45, 3))
    ours = copy.deepcopy(model)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    theirs.n_averaged += 1  # Its first update would copy the model.
    for _ in range(5):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
            model(torch.randn(4, 2, 5, 5))
        update_average(ours, model, 0.9)
        theirs.update_parameters(model)
    for (name, one), other in zip(ours.state_dict().items(), theirs.module.state_dict().values(), strict=True):
        assert torch.equal(one, other) or not one.is_floating_point(), name
