"""The attention stem (arXiv 1906.05909, section 3.3): each pixel attends inside its own non-overlapping 4×4 block.

Shapes: B batch, C channels, H height, W width, N heads, D channels a head, G blocks of an image, P the 16 pixels of a
block, M mixture components, d = D/2.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from search_spaces.architecture import STEM_HEADS, STEM_MIXTURES, STEM_WINDOW, Stem
from search_spaces.attention.dispatch import StemBackend, dtype_of_products, stem_backend_for, without_autocast
from search_spaces.attention.inputs import StemInputs
from search_spaces.attention.recomputation import recomputes
from search_spaces.attention.stem_operators import triton_stem

# Images of more rows are attended to in bands of no more, since all that a band computes is large: at 224 pixels twice
# what a ResNet-50 of convolutions keeps. Those of fewer rows are quicker in one piece.
BAND_ROWS = 64

# A 4×4 window of convolutional values has no centre: left and above a pixel lies one, right and below two.
VALUE_PADDING = (1, 2, 1, 2)


class AttentionStem(nn.Module):
    """(B, C_in, H, W) to (B, C_out, ⌈H/stride⌉, ⌈W/stride⌉): attention in blocks, batch norm, max pool over `stride`.

    `stem` names the values: "attention" mixes M = 4 projections by where the pixel lies in its block (the paper does
    not state M; 4 fits its table), "attention_stand_alone" has one projection, "attention_convolutional_values" a 4×4
    convolution over the image. Sides that are no multiple of 4 are padded, and the padding is masked. `backend` forces
    how the attention is computed.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stem: Stem, stride: int, *, backend: StemBackend = "auto"
    ) -> None:
        super().__init__()
        self.stem = stem
        self.backend: StemBackend = backend
        head_channels = out_channels // STEM_HEADS
        self.query = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.key = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        if stem == "attention_convolutional_values":
            self.value = nn.Conv2d(in_channels, out_channels, STEM_WINDOW, bias=False)
        else:
            components = STEM_MIXTURES if stem == "attention" else 1
            self.value = nn.Conv2d(in_channels, components * out_channels, 1, bias=False)
        if stem == "attention":
            scale = 1 / math.sqrt(out_channels)
            self.mixture_row = nn.Parameter(torch.randn(STEM_WINDOW, out_channels) * scale)
            self.mixture_column = nn.Parameter(torch.randn(STEM_WINDOW, out_channels) * scale)
            self.mixture = nn.Parameter(torch.randn(STEM_MIXTURES, out_channels) * scale)
        offsets = 2 * STEM_WINDOW - 1
        self.row = nn.Parameter(torch.randn(STEM_HEADS, offsets, head_channels // 2) * 0.02)
        self.column = nn.Parameter(torch.randn(STEM_HEADS, offsets, head_channels // 2) * 0.02)
        self.norm = nn.BatchNorm2d(out_channels)
        self.pool = nn.MaxPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()

    def forward(self, input_BCHW: Tensor) -> Tensor:
        dtype = dtype_of_products(input_BCHW)
        if stem_backend_for(input_BCHW, dtype, self.row.shape[-1] * 2, self.backend) == "triton":
            return self.pool(self.norm(self._attended_at_once(input_BCHW.to(dtype))))
        height = input_BCHW.shape[-2]
        bands = -(-height // BAND_ROWS)
        if bands == 1 or not recomputes(input_BCHW, self.query.weight):
            return self.pool(self.norm(self._attended(input_BCHW, 0, height)))
        rows = STEM_WINDOW * -(-height // (STEM_WINDOW * bands))
        # A band keeps nothing but the image, from which the gradients compute the rest again, one after the other.
        attended = [
            checkpoint(
                self._attended, input_BCHW, top, min(top + rows, height), use_reentrant=False, preserve_rng_state=False
            )
            for top in range(0, height, rows)
        ]
        return self.pool(self.norm(torch.cat(attended, dim=2)))

    def _attended(self, input_BCHW: Tensor, top: int, bottom: int) -> Tensor:
        """The attention's output for the rows from `top`, a multiple of a block's, to `bottom`."""
        band_BCHW = input_BCHW[:, :, top:bottom]
        height, width = band_BCHW.shape[-2:]
        query_BGPND = self._blocks(self.query(band_BCHW))
        key_BGPND = self._blocks(self.key(band_BCHW))
        if self.stem == "attention_convolutional_values":
            value_BGPND = self._blocks(self.value(F.pad(input_BCHW, VALUE_PADDING)[:, :, top : bottom + 3]))
        else:
            value_BGPND = self._values(band_BCHW)
        inside_GQ = self._blocks(input_BCHW.new_ones(1, STEM_HEADS, height, width))[0, :, :, 0, 0] > 0
        with without_autocast(input_BCHW.device):
            output_BGPND = self._attention(query_BGPND, key_BGPND, value_BGPND, inside_GQ)
        return self._image(output_BGPND, height, width)

    def _attention(self, query_BGPND: Tensor, key_BGPND: Tensor, value_BGPND: Tensor, inside_GQ: Tensor) -> Tensor:
        """The weighted values of each block, computed in float32 at least and returned in the query's dtype."""
        dtype = torch.promote_types(query_BGPND.dtype, torch.float32)
        query, key, value = query_BGPND.to(dtype), key_BGPND.to(dtype), value_BGPND.to(dtype)
        logits_BGNPQ = torch.einsum("bgpnd,bgqnd->bgnpq", query, key)
        logits_BGNPQ = logits_BGNPQ + torch.einsum("bgpnd,pqnd->bgnpq", query, self._relative().to(dtype))
        weights_BGNPQ = logits_BGNPQ.masked_fill(~inside_GQ[None, :, None, None], -torch.inf).softmax(-1)
        return torch.einsum("bgnpq,bgqnd->bgpnd", weights_BGNPQ, value).to(query_BGPND.dtype)

    def mixture_weights(self) -> Tensor:
        """p(a, b, m) for the 16 pixels of a block, (P, M): a softmax over the components, shared by all heads."""
        place_PC = (self.mixture_row[:, None] + self.mixture_column[None]).flatten(0, 1)
        return (place_PC @ self.mixture.T).softmax(-1)

    def _values(self, band_BCHW: Tensor) -> Tensor:
        values = self.value(band_BCHW)
        if self.stem != "attention":
            return self._blocks(values)
        value_BGPNMD = self._blocks(values).unflatten(-1, (STEM_MIXTURES, -1))
        return torch.einsum("pm,bgpnmd->bgpnd", self.mixture_weights().to(values.dtype), value_BGPNMD)

    def _attended_at_once(self, input_BCHW: Tensor) -> Tensor:
        """The attention's output by the Triton kernels, which keep nothing but the image."""
        return triton_stem(*self.triton_inputs(input_BCHW)).flatten(-2).permute(0, 3, 1, 2)

    def triton_inputs(self, input_BCHW: Tensor) -> StemInputs:
        """What the kernels take."""
        query_CND, key_CND = (
            module.weight[:, :, 0, 0].T.unflatten(1, (STEM_HEADS, -1)) for module in (self.query, self.key)
        )
        value_CMND = mixture_PM = value_BHWND = None
        if self.stem == "attention_convolutional_values":
            value_BCHW = self.value(F.pad(input_BCHW, VALUE_PADDING)).to(input_BCHW.dtype)
            value_BHWND = value_BCHW.permute(0, 2, 3, 1).unflatten(-1, (STEM_HEADS, -1))
        else:
            value_CNMD = self.value.weight[:, :, 0, 0].T.unflatten(1, (STEM_HEADS, -1, query_CND.shape[-1]))
            value_CMND = value_CNMD.transpose(1, 2)
            mixture_PM = self.mixture_weights() if self.stem == "attention" else None
        image_BHWC = input_BCHW.permute(0, 2, 3, 1)
        return image_BHWC, query_CND, key_CND, value_CMND, mixture_PM, value_BHWND, self.row, self.column

    def _relative(self) -> Tensor:
        """r for each pair of pixels of a block, (P, P, N, D)."""
        place = torch.arange(STEM_WINDOW, device=self.row.device)
        offset = place[None, :] - place[:, None] + STEM_WINDOW - 1
        row_NPQd = self.row[:, offset].repeat_interleave(STEM_WINDOW, 1).repeat_interleave(STEM_WINDOW, 2)
        column_NPQd = self.column[:, offset].repeat(1, STEM_WINDOW, STEM_WINDOW, 1)
        return torch.cat([row_NPQd, column_NPQd], dim=-1).permute(1, 2, 0, 3)

    @staticmethod
    def _blocks(features_BCHW: Tensor) -> Tensor:
        """(B, C, H, W), padded to whole blocks, to (B, G, P, N, D)."""
        batch, channels, height, width = features_BCHW.shape
        features = F.pad(features_BCHW, (0, -width % STEM_WINDOW, 0, -height % STEM_WINDOW))
        features = features.unflatten(2, (-1, STEM_WINDOW)).unflatten(4, (-1, STEM_WINDOW))
        return features.permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, STEM_WINDOW**2, STEM_HEADS, channels // STEM_HEADS)

    @staticmethod
    def _image(output_BGPND: Tensor, height: int, width: int) -> Tensor:
        """(B, G, P, N, D) back to (B, C, H, W), the padding cut off."""
        rows = -(-height // STEM_WINDOW)
        blocks = output_BGPND.flatten(-2).unflatten(2, (STEM_WINDOW, STEM_WINDOW)).unflatten(1, (rows, -1))
        image = blocks.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)
        return image[:, :, :height, :width]
