"""What one batch tells of a network that nobody has trained: zero-cost proxies, each written from its paper.

They are of the network in training mode, so that batch norm sees the batch. "Weights" are the parameters of two
dimensions or more.

Shapes: B batch, C channels, H height, W width, K classes, U units of an activation.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.bottleneck import Bottleneck
from search_spaces.resnet import written_out

# From the network, its (B, C, H, W) images and (B) labels.
Proxy = Callable[[nn.Module, Tensor, Tensor], float]

# In the eigenvalues of Jacobian covariance (Mellor et al. 2020).
SMALLEST_EIGENVALUE = 1e-5
# ZiCo's gradients are those of so many parts of the batch.
PARTS = 4


def gradient_norm(network: nn.Module, images_BCHW: Tensor, labels_B: Tensor) -> float:
    """The norms of the loss's gradients, summed over all parameters (Abdelfattah et al. 2021, arXiv 2101.08134)."""
    return sum(float(gradient.norm()) for gradient in _gradients(network, images_BCHW, labels_B, _parameters(network)))


def snip(network: nn.Module, images_BCHW: Tensor, labels_B: Tensor) -> float:
    """Σ |w · ∂L/∂w| over the weights (Lee, Ajanthan and Torr 2019, arXiv 1810.02340)."""
    weights = _weights(network)
    gradients = _gradients(network, images_BCHW, labels_B, weights)
    return _sum_of_products(weights, gradients, torch.abs)


def grasp(network: nn.Module, images_BCHW: Tensor, labels_B: Tensor) -> float:
    """−Σ w · H ∂L/∂w over the weights, H the Hessian (Wang, Zhang and Grosse 2020, arXiv 2002.07376)."""
    weights = _weights(network)
    with written_out(network):
        loss = F.cross_entropy(network(images_BCHW), labels_B)
        gradients = torch.autograd.grad(loss, weights, create_graph=True, materialize_grads=True)
        # Half the gradient of its squared norm is the Hessian times it.
        half_square = torch.stack([(gradient**2).sum() for gradient in gradients]).sum() / 2
        products = torch.autograd.grad(half_square, weights, materialize_grads=True)
    return _sum_of_products(weights, products, torch.neg)


def synflow(network: nn.Module, images_BCHW: Tensor, labels_B: Tensor) -> float:
    """Σ |w · ∂R/∂w| over the weights, R the sum of the logits of an image of ones when all parameters are replaced by
    their absolute values (Tanaka et al. 2020, arXiv 2006.05467), without batch norm (Abdelfattah et al. 2021)."""
    linear = copy.deepcopy(network).double()
    norms = [name for name, module in linear.named_modules() if isinstance(module, nn.BatchNorm2d)]
    for name in norms:
        linear.set_submodule(name, nn.Identity())
    with torch.no_grad():
        for parameter in linear.parameters():
            parameter.abs_()
    weights = _weights(linear)
    flow = linear(torch.ones_like(images_BCHW[:1], dtype=torch.float64)).sum()
    gradients = torch.autograd.grad(flow, weights, materialize_grads=True)
    return _sum_of_products(weights, gradients, torch.abs)


def fisher(network: nn.Module, images_BCHW: Tensor, labels_B: Tensor) -> float:
    """½ mean_B (Σ_HW a · ∂L_B/∂a)², summed over the channels of all ReLUs (Turner et al. 2020, arXiv 1906.04113)."""
    with _activations(network) as activations:
        loss = F.cross_entropy(network(images_BCHW), labels_B, reduction="sum")
    gradients = torch.autograd.grad(loss, activations, materialize_grads=True)
    total = 0.0
    for activation, gradient in zip(activations, gradients, strict=True):
        product_BC = (activation * gradient).flatten(2).sum(2) if activation.ndim > 2 else activation * gradient
        total += (product_BC.detach() ** 2).sum().item() / (2 * len(images_BCHW))
    return total


def zico(network: nn.Module, images_BCHW: Tensor, labels_B: Tensor) -> float:
    """Σ log Σ mean |g| / std |g|, inside over a layer's weights whose gradient g differs between parts of the batch,
    outside over the layers that have any (Li et al. 2023, arXiv 2301.11300)."""
    weights = _weights(network)
    parts = zip(images_BCHW.chunk(PARTS), labels_B.chunk(PARTS), strict=True)
    by_part = [_gradients(network, images, labels, weights) for images, labels in parts]
    total = 0.0
    for gradients in zip(*by_part, strict=True):
        sizes = torch.stack(gradients).abs()
        deviation = sizes.std(0, correction=0)
        differs = deviation > 0
        if differs.any():
            total += float((sizes.mean(0)[differs] / deviation[differs]).sum().log())
    return total


def naswot(network: nn.Module, images_BCHW: Tensor, labels_B: Tensor) -> float:
    """log |det K|, K_ij the number of units of all ReLUs that are both on or both off for images i and j (Mellor et al.
    2021, arXiv 2006.04647v3); −∞ where two images have the same code, or the network has no ReLU."""
    agreeing_BB = torch.zeros(len(images_BCHW), len(images_BCHW), dtype=torch.float64)
    with torch.no_grad(), _activations(network) as activations:
        network(images_BCHW)
        for activation in activations:
            on_BU = (activation > 0).flatten(1).double()
            agreeing_BB += on_BU @ on_BU.T + (1 - on_BU) @ (1 - on_BU).T
    return float(torch.linalg.slogdet(agreeing_BB).logabsdet)


def jacobian_covariance(network: nn.Module, images_BCHW: Tensor, labels_B: Tensor) -> float:
    """−Σ (log(λ + ε) + 1 / (λ + ε)), λ the eigenvalues of the correlations between the images' gradients of the sum of
    all logits (Mellor et al. 2020, arXiv 2006.04647v1)."""
    images = images_BCHW.clone().requires_grad_()
    (jacobian,) = torch.autograd.grad(network(images).sum(), images)
    eigenvalues = torch.linalg.eigvalsh(torch.corrcoef(jacobian.flatten(1).double())) + SMALLEST_EIGENVALUE
    return -float((eigenvalues.log() + 1 / eigenvalues).sum())


PROXIES: dict[str, Proxy] = {
    "gradient norm": gradient_norm,
    "SNIP": snip,
    "GraSP": grasp,
    "SynFlow": synflow,
    "Fisher": fisher,
    "ZiCo": zico,
    "NASWOT": naswot,
    "Jacobian covariance": jacobian_covariance,
}


def with_open_blocks(network: nn.Module) -> nn.Module:
    """The same network, the last batch norm of each block at one, as any other starts.

    In ours it starts at zero: an untrained block is its shortcut, and no gradient comes to its weights.
    """
    opened = copy.deepcopy(network)
    for module in opened.modules():
        if isinstance(module, Bottleneck):
            norm = module.expand[1]
            assert isinstance(norm, nn.BatchNorm2d)
            nn.init.ones_(norm.weight)
    return opened


def _parameters(network: nn.Module) -> list[Tensor]:
    return list(network.parameters())


def _weights(network: nn.Module) -> list[Tensor]:
    return [parameter for parameter in network.parameters() if parameter.ndim > 1]


def _sum_of_products(ones: list[Tensor], others: tuple[Tensor, ...], of: Callable[[Tensor], Tensor]) -> float:
    """Σ of(one · other) over all elements."""
    return sum(of(one.detach() * other).sum().item() for one, other in zip(ones, others, strict=True))


def _gradients(network: nn.Module, images_BCHW: Tensor, labels_B: Tensor, of: list[Tensor]) -> tuple[Tensor, ...]:
    """Those of the mean cross-entropy."""
    loss = F.cross_entropy(network(images_BCHW), labels_B)
    return torch.autograd.grad(loss, of, materialize_grads=True)


@contextmanager
def _activations(network: nn.Module) -> Iterator[list[Tensor]]:
    """What comes out of every ReLU, in the order of the passes, while it lasts."""
    found: list[Tensor] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        found.append(output)

    hooks = [module.register_forward_hook(note) for module in network.modules() if isinstance(module, nn.ReLU)]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
