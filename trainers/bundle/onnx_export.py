"""A network as ONNX, for runtimes that have no torch. Attention is written out by its reference implementation.

The file says in its metadata, as JSON, what its outputs are called (`classes`, null where nobody knows) and what is
done to a picture before (`preprocessing`, see `trainers.data.preprocessing` and `UNSAID`), and where it comes from.

Shapes: B batch, C channels, H height, W width.
"""

import importlib
import json
from typing import TYPE_CHECKING

from search_spaces.errors import UserError
from search_spaces.extras import install_command
from trainers.bundle.contents import Bundle
from trainers.quiet import quiet

if TYPE_CHECKING:
    from torch import nn

OPSET = 18
INPUT, OUTPUT = "images", "logits"
# What is always so, and therefore no field of `Preprocessing`, for whoever has the ONNX file alone: that resizing is
# antialiased, and from where to where values go before their mean is subtracted.
UNSAID = {"antialias": True, "value_range": [0, 1]}


def check_onnx() -> None:
    """Raises UserError where a package that the export needs is not installed."""
    for package in ("onnx", "onnxscript"):
        try:
            importlib.import_module(package)
        except ImportError:
            raise UserError(
                f"--onnx needs the package {package!r}, which is not installed: {install_command('onnx')}"
            ) from None


def onnx_model(model: "nn.Module", bundle: Bundle) -> bytes:
    """The ONNX file of a bundle's network on the CPU, in evaluation mode: `images` (B, C, H, W) to `logits`, for any B.

    Raises UserError where a package is missing.
    """
    check_onnx()
    # What is missing is said at once; torch takes seconds to import.
    import torch

    assert not model.training
    # Of two images: a batch of one would be taken for a constant.
    summary = bundle.data_summary
    images_BCHW = torch.zeros(2, summary.in_channels, summary.image_size, summary.image_size)
    with quiet():
        program = torch.onnx.export(
            model,
            (images_BCHW,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    for key, value in onnx_metadata(bundle).items():
        proto.metadata_props.add(key=key, value=value)
    content: bytes = proto.SerializeToString()
    return content


def onnx_metadata(bundle: Bundle) -> dict[str, str]:
    """What the file says of itself, as texts: ONNX holds no others."""
    return {
        "classes": json.dumps(bundle.class_names, ensure_ascii=False),
        "preprocessing": json.dumps({**bundle.input_rule.to_json(), **UNSAID}),
        "architecture": bundle.architecture.label,
        **bundle.provenance.origin,
    }
