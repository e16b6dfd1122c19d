"""The zero-cost proxies, against formulas of a network of two layers in NumPy, without autograd.

Shapes: B images, I their channels, P pixels, U hidden units, K classes.
"""

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from search_spaces.architecture import Architecture, Attention, Convolution
from search_spaces.bottleneck import Bottleneck
from search_spaces.resnet import build
from tests.benchmarks.zero_cost_proxies import PARTS, PROXIES, SMALLEST_EIGENVALUE, with_open_blocks

Array = NDArray[np.float64]

RNG = np.random.default_rng(0)
IMAGES_BIP = RNG.standard_normal((8, 3, 4))
LABELS_B = RNG.integers(0, 4, 8)
FIRST_UI, SECOND_KU = RNG.standard_normal((6, 3)), RNG.standard_normal((4, 6))
ONE_HOT_BK = np.eye(4)[LABELS_B]


def two_layers(*between: nn.Module) -> nn.Sequential:
    first, second = nn.Conv2d(3, 6, 1, bias=False), nn.Linear(6, 4, bias=False)
    with torch.no_grad():
        first.weight.copy_(torch.from_numpy(FIRST_UI)[:, :, None, None])
        second.weight.copy_(torch.from_numpy(SECOND_KU))
    return nn.Sequential(first, *between, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), second).double()


def hidden(first_UI: Array = FIRST_UI) -> Array:
    """[B, U, P], after the ReLU."""
    return np.maximum(np.einsum("ui,bip->bup", first_UI, IMAGES_BIP), 0)


def logit_gradients(first_UI: Array, second_KU: Array) -> Array:
    """[B, K], of each image's own cross-entropy."""
    powers_BK = np.exp(hidden(first_UI).mean(2) @ second_KU.T)
    return powers_BK / powers_BK.sum(1, keepdims=True) - ONE_HOT_BK


def unit_gradients(first_UI: Array, second_KU: Array) -> Array:
    """[B, U, P], of each image's own cross-entropy by what comes out of the ReLU."""
    of_means_BU = logit_gradients(first_UI, second_KU) @ second_KU
    return np.repeat(of_means_BU[:, :, None] / 4, 4, axis=2)


def weight_gradients(first_UI: Array, second_KU: Array, part: slice = slice(None)) -> tuple[Array, Array]:
    """Of the mean cross-entropy of some images."""
    hidden_BUP = hidden(first_UI)
    before_BUP = unit_gradients(first_UI, second_KU) * (hidden_BUP > 0)
    of_first_BUI = np.einsum("bup,bip->bui", before_BUP, IMAGES_BIP)
    of_second_BKU = np.einsum("bk,bu->bku", logit_gradients(first_UI, second_KU), hidden_BUP.mean(2))
    return of_first_BUI[part].mean(0), of_second_BKU[part].mean(0)


def gradient_norm() -> float:
    return sum(math.sqrt((gradient**2).sum()) for gradient in weight_gradients(FIRST_UI, SECOND_KU))


def snip() -> float:
    first, second = weight_gradients(FIRST_UI, SECOND_KU)
    return float(np.abs(FIRST_UI * first).sum() + np.abs(SECOND_KU * second).sum())


def grasp() -> float:
    """By central differences of the gradient along itself."""
    first, second = weight_gradients(FIRST_UI, SECOND_KU)
    step = 1e-5
    ahead = weight_gradients(FIRST_UI + step * first, SECOND_KU + step * second)
    behind = weight_gradients(FIRST_UI - step * first, SECOND_KU - step * second)
    products = [(one - other) / (2 * step) for one, other in zip(ahead, behind, strict=True)]
    return -float((FIRST_UI * products[0]).sum() + (SECOND_KU * products[1]).sum())


def synflow() -> float:
    """The sum of all paths, once for each layer."""
    return float(2 * (np.abs(SECOND_KU) @ np.abs(FIRST_UI)).sum())


def fisher() -> float:
    products_BU = (hidden() * unit_gradients(FIRST_UI, SECOND_KU)).sum(2)
    return float(0.5 * (products_BU**2).mean(0).sum())


def zico() -> float:
    size = len(IMAGES_BIP) // PARTS
    parts = [weight_gradients(FIRST_UI, SECOND_KU, slice(start, start + size)) for start in range(0, 8, size)]
    total = 0.0
    for layer in range(2):
        sizes = np.abs([part[layer] for part in parts])
        total += math.log((sizes.mean(0) / sizes.std(0)).sum())
    return total


def naswot() -> float:
    on = hidden().reshape(8, -1) > 0
    agreeing = np.zeros((8, 8))
    for one, other in product(range(8), repeat=2):
        agreeing[one, other] = sum(a == b for a, b in zip(on[one], on[other], strict=True))
    return math.log(np.linalg.det(agreeing))


def jacobian_covariance() -> float:
    slopes_BUP = SECOND_KU.sum(0)[:, None] / 4 * (hidden() > 0)
    jacobian_BIP = np.einsum("bup,ui->bip", slopes_BUP, FIRST_UI)
    shifted = np.linalg.eigvalsh(np.corrcoef(jacobian_BIP.reshape(8, -1))) + SMALLEST_EIGENVALUE
    return -float(sum(math.log(value) + 1 / value for value in shifted))


ORACLES: dict[str, Callable[[], float]] = {
    "gradient norm": gradient_norm,
    "SNIP": snip,
    "GraSP": grasp,
    "SynFlow": synflow,
    "Fisher": fisher,
    "ZiCo": zico,
    "NASWOT": naswot,
    "Jacobian covariance": jacobian_covariance,
}


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_is_its_formula(name: str) -> None:
    images_BCHW = torch.from_numpy(IMAGES_BIP).unflatten(2, (2, 2))
    found = PROXIES[name](two_layers(), images_BCHW, torch.from_numpy(LABELS_B))
    assert found == pytest.approx(ORACLES[name](), rel=1e-6)


def test_synflow_leaves_out_batch_norm_and_leaves_the_network_as_it_is() -> None:
    network = two_layers(nn.BatchNorm2d(6))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images_BCHW = torch.from_numpy(IMAGES_BIP).unflatten(2, (2, 2))
    assert PROXIES["SynFlow"](network, images_BCHW, torch.from_numpy(LABELS_B)) == pytest.approx(synflow())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_equal_codes_of_two_images_are_the_worst_of_naswot() -> None:
    images_BCHW = torch.from_numpy(IMAGES_BIP[[0, 0, 1]]).unflatten(2, (2, 2))
    assert PROXIES["NASWOT"](two_layers(), images_BCHW, torch.from_numpy(LABELS_B[:3])) == -math.inf


def test_no_gradient_comes_to_the_weights_of_a_block_before_it_is_opened() -> None:
    attention = Attention(3, 1, "relative")
    network = build(
        Architecture("convolution", 2, ((attention,), (Convolution(),), (attention,), (Convolution(),))),
        image_size=8,
        in_channels=1,
        classes=3,
    )
    images_BCHW, labels_B = torch.from_numpy(RNG.standard_normal((8, 1, 8, 8))).float(), torch.arange(8) % 3
    opened = with_open_blocks(network)
    for model, comes in ((network, False), (opened, True)):
        model.zero_grad()
        nn.functional.cross_entropy(model(images_BCHW), labels_B).backward()
        blocks = [module for module in model.modules() if isinstance(module, Bottleneck)]
        assert len(blocks) == 4
        for block in blocks:
            gradients = [weight.grad for weight in block.reduce.parameters() if weight.grad is not None]
            assert any(gradient.any() for gradient in gradients) is comes
    values = {name: proxy(opened, images_BCHW, labels_B) for name, proxy in PROXIES.items()}
    assert all(map(math.isfinite, values.values())), values
