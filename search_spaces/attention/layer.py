"""The local self-attention layer: projections, positions, and the shared attention core between them.

Shapes: B batch, C channels, H height, W width, N heads, D channels a head.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.architecture import Attention
from search_spaces.attention.dispatch import Backend, backend_for, dtype_of_products, local_attention
from search_spaces.attention.positional import sinusoidal_encoding
from search_spaces.attention.recomputation import KernelBackend, projected_attention, recomputes


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
        input_BHWC = input_BCHW.permute(0, 2, 3, 1)
        backend = self._recomputing_backend(input_BHWC) if recomputes(input_BHWC, weight) else None
        if backend is not None:
            output_BHWND = projected_attention(
                input_BHWC,
                weight,
                self.row,
                self.column,
                spatial_extent=self.operator.spatial_extent,
                projections=len(projections),
                heads=self.operator.heads,
                backend=backend,
            )
            return output_BHWND.flatten(-2).permute(0, 3, 1, 2)
        projected = F.linear(input_BHWC, weight)
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

    def _recomputing_backend(self, input_BHWC: Tensor) -> KernelBackend | None:
        """The backend for such inputs, if it is one that has its projections computed again for the gradients."""
        if input_BHWC.device.type == "cpu" and self.backend != "triton":
            return "numba" if backend_for(input_BHWC, self.backend) == "numba" else None
        heads = self.operator.heads
        shape = (0, 0, 0, heads, self.query.out_channels // heads)
        query_BHWND = input_BHWC.new_empty(shape, dtype=dtype_of_products(input_BHWC))
        chosen = backend_for(query_BHWND, self.backend, self.operator.spatial_extent)
        return "triton" if chosen == "triton" else None

    def extra_repr(self) -> str:
        """The operator, and the backend: the one that was asked for, or that of an input like the weights."""
        backend = backend_for(self.query.weight) if self.backend == "auto" else self.backend
        return f"{self.operator.label}, backend={backend}"
