"""A network as an exported program of torch's, for programs that have torch and nothing of this project."""

import io

import torch
from torch import nn

from search_spaces.resnet import written_out
from trainers.bundle.contents import Bundle
from trainers.quiet import quiet


def exported_program(model: nn.Module, bundle: Bundle) -> bytes:
    """The `.pt2` file of a bundle's network on the CPU, in evaluation mode: (B, C, H, W) to logits, for any B."""
    assert not model.training
    # Of two images: a batch of one would be taken for a constant.
    summary = bundle.data_summary
    images_BCHW = torch.zeros(2, summary.in_channels, summary.image_size, summary.image_size)
    batch = ({0: torch.export.Dim("batch", min=1)},)
    buffer = io.BytesIO()
    with quiet(), written_out(model):
        torch.export.save(torch.export.export(model, (images_BCHW,), dynamic_shapes=batch), buffer)
    return buffer.getvalue()
