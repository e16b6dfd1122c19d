"""ONNX against torch, by another runtime, with every way in which attention is computed here."""

import dataclasses
import sys

import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from search_spaces.architecture import Architecture, Attention, Convolution, PositionalEncoding, Stem
from search_spaces.attention.layer import LocalSelfAttention
from search_spaces.errors import UserError
from tests.support.bundles import provenance
from trainers.bundle.contents import Bundle
from trainers.bundle.onnx_export import OPSET, check_onnx, onnx_model
from trainers.data.config import DATA_DEFAULTS, DataSummary
from trainers.model import seeded_model
from trainers.recipe_files import full_training


def architecture_with(stem: Stem, encoding: PositionalEncoding) -> Architecture:
    stages = ((Convolution(),), (Attention(3, 2, encoding),), (Attention(7, 4, encoding), Convolution()))
    return Architecture(stem, 8, (*stages, (Attention(5, 2, encoding),)))


def network(architecture: Architecture, summary: DataSummary) -> nn.Module:
    """A network with weights that all matter, in evaluation mode; a fresh one's blocks give nothing."""
    model = seeded_model(architecture, summary, 0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def compare(architecture: Architecture, summary: DataSummary) -> None:
    model = network(architecture, summary)
    data = dataclasses.replace(DATA_DEFAULTS["digits"], name=summary.name, image_size=summary.image_size)
    content = onnx_model(model, Bundle(architecture, full_training("digits"), data, summary, provenance()))
    graph = onnx.load_from_string(content)
    onnx.checker.check_model(graph, full_check=True)
    assert {entry.domain: entry.version for entry in graph.opset_import}[""] == OPSET
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    sides = [summary.in_channels, summary.image_size, summary.image_size]
    assert [(put.name, put.shape) for put in session.get_inputs()] == [("images", ["batch", *sides])]
    assert [(put.name, put.shape) for put in session.get_outputs()] == [("logits", ["batch", summary.classes])]
    for batch in (1, 2, 5):
        images_BCHW = torch.randn(batch, *sides, generator=torch.Generator().manual_seed(batch))
        [found] = session.run(None, {"images": images_BCHW.numpy()})
        for backend in ("reference", "blocks", "numba"):
            for module in model.modules():
                if isinstance(module, LocalSelfAttention):
                    module.backend = backend
            with torch.inference_mode():
                expected = model(images_BCHW)
            assert expected.abs().max() > 0.05
            assert torch.allclose(torch.from_numpy(found), expected, atol=1e-4), backend


def test_onnx_gives_the_outputs_of_torch_at_any_batch_and_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    attention = Attention(3, 2, "relative")
    compare(
        Architecture("convolution", 8, ((Convolution(),), (attention,), (Convolution(),), (Convolution(),))),
        DataSummary("digits", 10, 1, 8, 1, 1, 1),
    )
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stem", "encoding", "image_size"),
    [
        ("convolution", "relative", 16),
        ("attention", "absolute", 32),
        ("attention_convolutional_values", "relative_only", 64),
        ("attention_stand_alone", "none", 16),
    ],
)
def test_onnx_of_every_stem_and_encoding(stem: Stem, encoding: PositionalEncoding, image_size: int) -> None:
    compare(architecture_with(stem, encoding), DataSummary("imagenet", 7, 3, image_size, 1, 1, 1))


@pytest.mark.parametrize("absent", ["onnx", "onnxscript"])
def test_a_missing_package_is_one_line(absent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(UserError, match=f"--onnx needs the package '{absent}'.*pip install") as caught:
        check_onnx()
    assert "\n" not in str(caught.value)
