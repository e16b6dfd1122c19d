"""One step of the optimizer and of the averaged weights, against what they must compute."""

import copy
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tests.support.present import present
from trainers.data.augmentation import Augmentation
from trainers.loop import Training
from trainers.optimizer import update_average
from trainers.recipe import Recipe


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
