"""Local multi-head self-attention, the core of every attention block (arXiv 1906.05909, equation 2).

    y_ij = Σ_ab softmax_ab(q_ij·k_ab + q_ij·r_(a−i, b−j)) v_ab

over the K×K neighbourhood of pixel ij, separately in each head, with no 1/√D scale. Neighbours outside the image are
masked: they take no part in the softmax.

`reference_attention` is the equation; the other backends equal it in value and in every gradient:

    reference  any device, K² copies of keys and values; what is exported, and what FLOPs are counted on
    blocks     any device, torch operators on blocks of the image
    numba      CPU, compiled for it, needs Numba

Shapes: B batch, C channels, H height, W width, N heads, D channels a head, K spatial extent,
P = K² neighbours.
"""

from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from importlib.util import find_spec
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from search_spaces.architecture import Attention
from search_spaces.attention.blocked import blocks_attention
from search_spaces.attention.positional import relative_embeddings, sinusoidal_encoding
from search_spaces.errors import UserError, unknown_name

Backend = Literal["auto", "reference", "blocks", "numba"]

BACKENDS: tuple[str, ...] = get_args(Backend)


def local_attention(
    query_BHWND: Tensor,
    key_BHWND: Tensor | None,
    value_BHWND: Tensor,
    row_NKd: Tensor | None = None,
    column_NKd: Tensor | None = None,
    *,
    spatial_extent: int,
    backend: Backend = "auto",
) -> Tensor:
    """Attention of every pixel over its neighbourhood, (B, H, W, N, D), in the query's dtype.

    A missing key leaves out q·k, missing embeddings leave out q·r. `row_NKd` and `column_NKd` are (N, K, D/2) each.
    Logits and softmax are computed in float32 at least, under autocast too. Raises UserError for a backend that is
    unknown or cannot run here.
    """
    chosen = backend_for(query_BHWND, backend)
    # Half precision is computed in float32, but for the matrix products of "blocks", which are faster without.
    dtype = query_BHWND.dtype if chosen == "blocks" else torch.promote_types(query_BHWND.dtype, torch.float32)
    inputs = (query_BHWND, key_BHWND, value_BHWND, row_NKd, column_NKd)
    query, key, value, row, column = (None if tensor is None else tensor.to(dtype) for tensor in inputs)
    assert query is not None and value is not None
    if chosen == "numba":
        from search_spaces.attention.compiled import numba_attention as attention
    else:
        attention = blocks_attention if chosen == "blocks" else reference_attention
    with without_autocast(query.device):
        output = attention(query, key, value, row, column, spatial_extent=spatial_extent)
    return output.to(query_BHWND.dtype)


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """A context in which products keep the dtype of their inputs."""
    if torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def backend_for(query_BHWND: Tensor, backend: Backend = "auto") -> Backend:
    """The backend that computes attention for this query. Raises UserError for one that is unknown or cannot run here.

    "auto" takes the reference while a model is exported, traced or counted, the compiled kernels on a CPU that has
    Numba, and blocks elsewhere.
    """
    if backend not in BACKENDS:
        raise unknown_name("attention backend", backend, BACKENDS)
    if backend == "auto":
        if _is_traced(query_BHWND) or not query_BHWND.numel():
            return "reference"
        on_cpu = query_BHWND.device.type == "cpu" and query_BHWND.dtype != torch.float64
        return "numba" if on_cpu and has_numba() else "blocks"
    if backend == "numba" and query_BHWND.device.type != "cpu":
        raise UserError(f"attention backend 'numba' runs on the CPU, and the input is on {query_BHWND.device}.")
    if backend == "numba" and not has_numba():
        raise UserError("attention backend 'numba' needs the package numba, which is not installed: use 'blocks'.")
    return backend


@lru_cache(maxsize=1)
def has_numba() -> bool:
    """Whether Numba is installed. It is not imported."""
    return find_spec("numba") is not None


def _is_traced(tensor: Tensor) -> bool:
    """Whether operators are recorded, counted or faked rather than simply run."""
    return (
        torch.compiler.is_compiling()
        or torch._C._get_tracing_state() is not None
        or tensor.is_meta
        or type(tensor) not in (Tensor, nn.Parameter)
        or is_in_torch_dispatch_mode()
    )


def reference_attention(
    query_BHWND: Tensor,
    key_BHWND: Tensor | None,
    value_BHWND: Tensor,
    row_NKd: Tensor | None,
    column_NKd: Tensor | None,
    *,
    spatial_extent: int,
) -> Tensor:
    """The equation as it stands, in the inputs' common dtype."""
    logits_BHWNP = query_BHWND.new_zeros(())
    if key_BHWND is not None:
        logits_BHWNP = (query_BHWND[..., None, :] @ _neighbours(key_BHWND, spatial_extent)).squeeze(-2)
    if row_NKd is not None and column_NKd is not None:
        relative_NPD = relative_embeddings(row_NKd, column_NKd).flatten(1, 2)
        logits_BHWNP = logits_BHWNP + torch.einsum("bhwnd,npd->bhwnp", query_BHWND, relative_NPD)
    height, width = query_BHWND.shape[1:3]
    inside_HWP = _inside_image(height, width, spatial_extent, query_BHWND.device)
    weights_BHWNP = logits_BHWNP.masked_fill(~inside_HWP[None, :, :, None], -torch.inf).softmax(-1)
    return (_neighbours(value_BHWND, spatial_extent) @ weights_BHWNP[..., None]).squeeze(-1)


def _neighbours(features_BHWND: Tensor, extent: int) -> Tensor:
    """(B, H, W, N, D, P): the features of each pixel's P = K² neighbours, zero outside the image."""
    reach = extent // 2
    padded = F.pad(features_BHWND, (0, 0, 0, 0, reach, reach, reach, reach))
    return padded.unfold(1, extent, 1).unfold(2, extent, 1).flatten(-2)


def _inside_image(height: int, width: int, extent: int, device: torch.device) -> Tensor:
    """(H, W, P): which neighbours of each pixel lie in the image."""
    offset = torch.arange(extent, device=device) - extent // 2
    row_HK = torch.arange(height, device=device)[:, None] + offset
    column_WK = torch.arange(width, device=device)[:, None] + offset
    row_inside_HK = (row_HK >= 0) & (row_HK < height)
    column_inside_WK = (column_WK >= 0) & (column_WK < width)
    return (row_inside_HK[:, None, :, None] & column_inside_WK[None, :, None, :]).flatten(-2)


class LocalSelfAttention(nn.Module):
    """The layer that takes the place of a 3×3 convolution: (B, C_in, H, W) to (B, C_out, H, W).

    W_Q, W_K and W_V are dense 1×1 projections without bias. "relative_only" has no W_K. "absolute" adds sinusoids to
    the layer's input. `backend` forces how attention is computed. The output's memory lies channels last.
    """

    def __init__(self, in_channels: int, out_channels: int, operator: Attention, *, backend: Backend = "auto") -> None:
        super().__init__()
        problem = operator.problem_at(out_channels)
        assert problem is None, problem
        self.operator = operator
        self.backend: Backend = backend
        encoding = operator.positional_encoding
        self.query = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.key = None if encoding == "relative_only" else nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.value = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.row: nn.Parameter | None = None
        self.column: nn.Parameter | None = None
        if encoding.startswith("relative"):
            shape = (operator.heads, operator.spatial_extent, out_channels // operator.heads // 2)
            self.row = nn.Parameter(torch.randn(shape) * 0.02)
            self.column = nn.Parameter(torch.randn(shape) * 0.02)

    def forward(self, input_BCHW: Tensor) -> Tensor:
        if self.operator.positional_encoding == "absolute":
            _, channels, height, width = input_BCHW.shape
            encoding_HWC = sinusoidal_encoding(
                height, width, channels, device=input_BCHW.device, dtype=input_BCHW.dtype
            )
            input_BCHW = input_BCHW + encoding_HWC.permute(2, 0, 1)
        # One matrix product for all projections; their outputs lie channels last, as the backends like them best.
        projections = [module for module in (self.query, self.key, self.value) if module is not None]
        weight = torch.cat([module.weight for module in projections]).flatten(1)
        projected = F.linear(input_BCHW.permute(0, 2, 3, 1), weight)
        query, *key, value = projected.unflatten(-1, (len(projections), self.operator.heads, -1)).unbind(3)
        output_BHWND = local_attention(
            query,
            key[0] if key else None,
            value,
            self.row,
            self.column,
            spatial_extent=self.operator.spatial_extent,
            backend=self.backend,
        )
        return output_BHWND.flatten(-2).permute(0, 3, 1, 2)

    def extra_repr(self) -> str:
        """The operator, and the backend for an input like the weights."""
        return f"{self.operator.label}, backend={backend_for(self.query.weight, self.backend)}"
