"""Erased rectangles and mixed images, against torchvision's and against the distributions that they are drawn from."""

from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from torch.nn import functional as F

from trainers.data.mixing import beta_quantile, cut_boxes, erased, erased_boxes, mixed
from trainers.data.random_draws import ERASING, MIXING, sample_draws
from trainers.data.torchvision_import import torchvision
from trainers.targets import Targets

COUNT = 2000
SAMPLES = np.arange(COUNT)


def images(count: int, size: int = 20) -> torch.Tensor:
    found = torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))
    return found.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.8, 1.0, 4.0, 100.0])
def test_strengths_are_drawn_from_the_beta_distribution(alpha: float) -> None:
    draws = np.linspace(0.001, 0.999, 999)
    assert beta_quantile(alpha, draws) == pytest.approx(scipy.stats.beta.ppf(draws, alpha, alpha), abs=1e-3)


def test_erased_rectangles_are_torchvisions() -> None:
    draws = sample_draws(0, 1, SAMPLES, ERASING)
    functional = torchvision().transforms.v2.functional
    some = images(50)
    boxes = erased_boxes(20, 20, draws[:50], 0.5)
    found = erased(some, draws[:50], 0.5)
    assert found.is_contiguous(memory_format=torch.channels_last)
    for image, before, (top, left, bottom, right) in zip(found, some, boxes.tolist(), strict=True):
        theirs = functional.erase(before, top, left, bottom - top, right - left, torch.zeros(3, 1, 1))
        assert torch.equal(image, theirs)
    assert torch.equal(erased(some[7:9], draws[7:9], 0.5), found[7:9])


def test_as_many_are_erased_as_often_and_as_largely_as_torchvision_does() -> None:
    boxes = erased_boxes(224, 200, sample_draws(0, 1, SAMPLES, ERASING), 0.25)
    assert (boxes >= 0).all() and (boxes[:, 2] <= 224).all() and (boxes[:, 3] <= 200).all()
    assert np.mean(boxes[:, 2] > boxes[:, 0]) == pytest.approx(0.25, abs=0.03)
    every = erased_boxes(224, 200, sample_draws(0, 1, SAMPLES, ERASING), 1.0)
    transform: Any = torchvision().transforms.v2.RandomErasing(p=1.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = [transform.make_params([torch.zeros(3, 224, 200)]) for _ in range(COUNT)]
    for ours, name in ((every[:, 2] - every[:, 0], "h"), (every[:, 3] - every[:, 1], "w"), (every[:, 0], "i")):
        assert scipy.stats.ks_2samp(ours, [params[name] for params in theirs]).pvalue > 0.001


def test_mixed_images_are_torchvisions() -> None:
    """The partner's place in torchvision's batches is the one before."""
    some, partner = images(4), torch.tensor([3, 0, 1, 2])
    draws = sample_draws(0, 1, np.arange(100, 104), MIXING)
    transforms: Any = torchvision().transforms.v2
    shares = beta_quantile(0.4, draws[:, 0])
    found, share = mixed(some, partner, draws, 0.4, 0.0)
    for index in range(4):
        theirs = transforms.MixUp(num_classes=4).transform(
            some, {"lam": shares[index], "labels": None, "batch_size": 4}
        )
        torch.testing.assert_close(found[index], theirs[index])
    assert share.tolist() == pytest.approx(shares.tolist())
    boxes = cut_boxes(20, 20, draws, 1.0)
    found, share = mixed(some, partner, draws, 0.0, 1.0)
    for index, (top, left, bottom, right) in enumerate(boxes.tolist()):
        params = {"box": (left, top, right, bottom), "labels": None, "batch_size": 4}
        assert torch.equal(found[index], transforms.CutMix(num_classes=4).transform(some, params)[index])
        assert share[index].item() == pytest.approx(1 - (bottom - top) * (right - left) / 400)


def test_boxes_that_are_cut_are_drawn_as_torchvision_draws_them() -> None:
    boxes = cut_boxes(64, 48, sample_draws(0, 1, SAMPLES, MIXING), 1.0)
    transform: Any = torchvision().transforms.v2.CutMix(alpha=1.0, num_classes=4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = np.array([transform.make_params([torch.zeros(2, 3, 64, 48)])["box"] for _ in range(COUNT)])
    for ours, place in ((boxes[:, 0], 1), (boxes[:, 1], 0), (boxes[:, 2], 3), (boxes[:, 3], 2)):
        assert scipy.stats.ks_2samp(ours, theirs[:, place]).pvalue > 0.001


def test_of_both_mixtures_each_image_has_one_by_chance() -> None:
    some = images(COUNT, 8)
    partner = torch.arange(COUNT) ^ 1
    draws = sample_draws(0, 1, SAMPLES, MIXING)
    both, share = mixed(some, partner, draws, 0.8, 1.0)
    ups, cuts = mixed(some, partner, draws, 0.8, 0.0), mixed(some, partner, draws, 0.0, 1.0)
    is_up = torch.tensor([torch.equal(one, other) for one, other in zip(both, ups[0], strict=True)])
    is_cut = torch.tensor([torch.equal(one, other) for one, other in zip(both, cuts[0], strict=True)])
    assert (is_up | is_cut).all() and 0.45 < is_up.float().mean() < 0.55
    assert torch.equal(share[is_up], ups[1][is_up])
    # A part of a batch comes out the same to the bit.
    part, shares = mixed(some[6:13], partner[6:12] - 6, draws[6:12], 0.8, 1.0)
    assert torch.equal(part, both[6:12]) and torch.equal(shares, share[6:12])


def test_the_loss_of_mixed_targets_is_that_of_mixed_labels() -> None:
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(2))
    label, other, share = torch.tensor([0, 1, 2, 3, 0, 1]), torch.tensor([1, 1, 0, 2, 3, 0]), torch.rand(6)
    targets = Targets(label, other, share)
    soft = share[:, None] * F.one_hot(label, 4) + (1 - share[:, None]) * F.one_hot(other, 4)
    torch.testing.assert_close(targets.loss(logits, 0.1), F.cross_entropy(logits, soft, label_smoothing=0.1))
    parts = targets.chunk(2)
    assert [len(part) for part in parts] == [3, 3]
    mean = sum(part.loss(piece, 0.1) for part, piece in zip(parts, logits.chunk(2), strict=True)) / 2
    torch.testing.assert_close(targets.loss(logits, 0.1), mean)
