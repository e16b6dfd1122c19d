"""Local multi-head self-attention, the core of every attention block, and which backend computes it.

    reference  any device, K² copies of keys and values; what FLOPs are counted on, and what leaves as ONNX
    blocks     any device, torch operators on blocks of the image
    numba      CPU, compiled for it, needs Numba
    triton     CUDA, fused, needs Triton; taken where it was measured to be the fastest

The equation is that of `reference_attention`; the other backends equal it in value and in every gradient.

Shapes: B batch, H height, W width, N heads, D channels a head, d = D/2, K spatial extent.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from search_spaces.architecture import STEM_WINDOW
from search_spaces.attention.blocked import blocks_attention
from search_spaces.attention.operators import numba_attention, triton_attention
from search_spaces.attention.reference import reference_attention
from search_spaces.attention.triton_choice import answer_of_a_graph, is_installed, takes_triton, triton_problem
from search_spaces.attention.triton_tiles import EXTENTS
from search_spaces.errors import UserError, unknown_name

Backend = Literal["auto", "reference", "blocks", "numba", "triton"]

StemBackend = Literal["auto", "blocks", "triton"]

BACKENDS: tuple[str, ...] = get_args(Backend)
STEM_BACKENDS: tuple[str, ...] = get_args(StemBackend)


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
    chosen = backend_for(query_BHWND, backend, spatial_extent)
    # Half precision is computed in float32, but for the matrix products that tensor cores are faster at.
    halves = chosen in ("blocks", "triton")
    dtype = query_BHWND.dtype if halves else torch.promote_types(query_BHWND.dtype, torch.float32)
    inputs = (query_BHWND, key_BHWND, value_BHWND, row_NKd, column_NKd)
    query, key, value, row, column = (None if tensor is None else tensor.to(dtype) for tensor in inputs)
    assert query is not None and value is not None
    if chosen == "numba":
        output = numba_attention(query, key, value, row, column, spatial_extent)
    elif chosen == "triton":
        # Embeddings keep their dtype, in which their gradients are summed.
        output = triton_attention(query, key, value, row_NKd, column_NKd, spatial_extent)
    else:
        attention = blocks_attention if chosen == "blocks" else reference_attention
        with without_autocast(query.device):
            output = attention(query, key, value, row, column, spatial_extent=spatial_extent)
    return output.to(query_BHWND.dtype)


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """A context in which products keep the dtype of their inputs."""
    if _has_autocast(device.type) and torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def dtype_of_products(features: Tensor) -> torch.dtype:
    """That of projections of these: autocast's where it is on."""
    kind = features.device.type
    if _has_autocast(kind) and torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return features.dtype


# Before torch 2.13 the compiler cannot look into the question.
@answer_of_a_graph
def _has_autocast(kind: str) -> bool:
    return torch.amp.is_autocast_available(kind)


def backend_for(query_BHWND: Tensor, backend: Backend = "auto", spatial_extent: int | None = None) -> Backend:
    """The backend that computes attention for this query. Raises UserError for one that is unknown or cannot run here.

    "auto" takes the reference while a model is counted, traced or written as ONNX, the compiled kernels on a CPU that
    has Numba, on CUDA the Triton kernels where they were measured to be the fastest and take the shape, and blocks
    elsewhere: a kernel that nobody measured is nobody's default. What torch.compile and torch.export make holds what
    would run without them.
    """
    if backend not in BACKENDS:
        raise unknown_name("attention backend", backend, BACKENDS)
    if backend == "auto":
        if _is_written_out(query_BHWND):
            return "reference"
        on_cpu = query_BHWND.device.type == "cpu" and query_BHWND.dtype != torch.float64
        if on_cpu and has_numba():
            return "numba"
        return "triton" if _takes_triton(query_BHWND, spatial_extent) else "blocks"
    if backend == "numba" and query_BHWND.device.type != "cpu":
        raise UserError(f"attention backend 'numba' runs on the CPU, and the input is on {query_BHWND.device}.")
    if backend == "numba" and not has_numba():
        raise UserError("attention backend 'numba' needs the package numba, which is not installed: use 'blocks'.")
    if backend == "triton":
        device, dtype = query_BHWND.device, query_BHWND.dtype
        channels = int(query_BHWND.shape[-1]) if query_BHWND.ndim == 5 else 1
        extent = spatial_extent or EXTENTS[0]
        _check_triton(triton_problem("local", device.type, device.index, dtype, channels, extent))
    return backend


def stem_backend_for(
    image_BCHW: Tensor, dtype: torch.dtype, channels: int, backend: StemBackend = "auto"
) -> StemBackend:
    """What computes the stem of such images, "blocks" or "triton", in `dtype`, with `channels` a head; by the rules of
    `backend_for`."""
    if backend not in STEM_BACKENDS:
        raise unknown_name("backend of the attention stem", backend, STEM_BACKENDS)
    device = image_BCHW.device
    asked = (dtype, channels, STEM_WINDOW, int(image_BCHW.shape[1]))
    if backend == "auto":
        on_cuda = device.type == "cuda" and not _is_written_out(image_BCHW)
        return "triton" if on_cuda and takes_triton("stem", device.index, *asked) else "blocks"
    if backend == "triton":
        _check_triton(triton_problem("stem", device.type, device.index, *asked))
    return backend


def _takes_triton(query_BHWND: Tensor, extent: int | None) -> bool:
    device = query_BHWND.device
    if device.type != "cuda" or query_BHWND.ndim != 5 or extent is None:
        return False
    return takes_triton("local", device.index, query_BHWND.dtype, int(query_BHWND.shape[-1]), extent)


def _check_triton(problem: str | None) -> None:
    if problem is not None:
        raise UserError(f"attention backend 'triton': its kernels {problem}. Use 'blocks'.")


def has_numba() -> bool:
    """Whether Numba is installed. It is not imported."""
    return _NUMBA_IS_INSTALLED


# Known before anything is compiled, since torch.compile cannot look into the search for a package.
_NUMBA_IS_INSTALLED = is_installed("numba")


def _is_written_out(tensor: Tensor) -> bool:
    """Whether every operator has to be one of torch's own: counted, faked, traced, or on its way to ONNX."""
    if torch.compiler.is_compiling():
        return torch.compiler.is_exporting() and torch.onnx.is_in_onnx_export()
    return (
        torch._C._get_tracing_state() is not None
        or tensor.is_meta
        or type(tensor) not in (Tensor, nn.Parameter)
        or is_in_torch_dispatch_mode()
    )
