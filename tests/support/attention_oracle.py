"""Local attention as loops over pixels, slow and plain: what every backend and layer is held against."""

import math

import torch
from torch import Tensor


def loop_attention(
    query: Tensor, key: Tensor | None, value: Tensor, row: Tensor | None, column: Tensor | None, extent: int
) -> Tensor:
    """Equation 2 of the paper, number by number."""
    batch, height, width, heads, depth = query.shape
    output = torch.zeros_like(query)
    reach = extent // 2
    for image in range(batch):
        for i in range(height):
            for j in range(width):
                for n in range(heads):
                    logits, values = [], []
                    for a in range(i - reach, i + reach + 1):
                        for b in range(j - reach, j + reach + 1):
                            if not (0 <= a < height and 0 <= b < width):
                                continue
                            logit = 0.0
                            for d in range(depth):
                                q = float(query[image, i, j, n, d])
                                if key is not None:
                                    logit += q * float(key[image, a, b, n, d])
                                if row is not None and column is not None:
                                    if d < depth // 2:
                                        logit += q * float(row[n, a - i + reach, d])
                                    else:
                                        logit += q * float(column[n, b - j + reach, d - depth // 2])
                            logits.append(logit)
                            values.append(value[image, a, b, n])
                    largest = max(logits)
                    terms = [math.exp(logit - largest) for logit in logits]
                    for term, neighbour in zip(terms, values, strict=True):
                        output[image, i, j, n] += term / sum(terms) * neighbour
    return output
