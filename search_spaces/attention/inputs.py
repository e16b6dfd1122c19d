"""The inputs of local attention and of the stem, of which some may be missing, and their gradients.

Shapes: B batch, H height, W width, N heads, D channels a head, d = D/2, K spatial extent, C colours, M components of a
value, P the 16 pixels of a block.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

# query (B, H, W, N, D), key, value, row (N, K, d), column
Inputs = tuple[Tensor, Tensor | None, Tensor, Tensor | None, Tensor | None]

# image (B, H, W, C), weights of query (C, N, D), key, and value (C, M, N, D), mixture (P, M) unless M is 1; or instead
# of these two the value (B, H, W, N, D); row (N, 7, d), column
StemInputs = tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor, Tensor]


def present(inputs: Sequence[Tensor | None]) -> list[Tensor]:
    """The tensors that are there, in order."""
    return [tensor for tensor in inputs if tensor is not None]


def spread(gradients: Sequence[Tensor], inputs: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    """The gradients at the places of the inputs that are there: what `present` closed up, opened again."""
    remaining = iter(gradients)
    return tuple(None if tensor is None else next(remaining) for tensor in inputs)


def empty_gradients(inputs: Sequence[Tensor | None]) -> list[Tensor]:
    """Room for the gradients of the inputs that are there: features lie as they do, embeddings in one piece."""
    features = [torch.empty_like(tensor) for tensor in present(inputs[:3])]
    return features + [tensor.new_empty(tensor.shape) for tensor in present(inputs[3:])]


def empty_output(query_BHWND: Tensor) -> tuple[Tensor, Tensor]:
    """Room for an output in one piece, and for the logarithm of each softmax's sum, (B, H, W, N)."""
    log_sum_dtype = torch.promote_types(query_BHWND.dtype, torch.float32)
    output = query_BHWND.new_empty(query_BHWND.shape)
    return output, query_BHWND.new_empty(query_BHWND.shape[:-1], dtype=log_sum_dtype)


def new_gradients(inputs: Sequence[Tensor | None]) -> list[Tensor]:
    """Room for the gradients of the inputs that are there, each in one piece."""
    return [tensor.new_empty(tensor.shape) for tensor in present(inputs)]


def stem_gradients(inputs: Sequence[Tensor | None], of_image: bool) -> list[Tensor]:
    """Room for the gradients of the stem's inputs, of its images only where they are asked for."""
    return new_gradients(inputs if of_image else inputs[1:])
