"""What `attention.py --device cuda` measures: every way to the same function, forward and backward, on one GPU.

Shapes: B batch, H height, W width, N heads, D channels a head, K spatial extent, Q = H·W pixels.
"""

import importlib.util
import math
import statistics
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from search_spaces.architecture import STEM_WINDOW, Attention
from search_spaces.attention.dispatch import Backend, StemBackend, local_attention
from search_spaces.attention.layer import LocalSelfAttention
from search_spaces.attention.stem import AttentionStem
from search_spaces.attention.tuning import median_ms
from search_spaces.errors import first_line
from search_spaces.paper_models import architecture_named
from search_spaces.resnet import build
from tests.benchmarks.attention_resources import (
    COLOURS,
    DEVICES,
    HEADS,
    SHAPES,
    STEM,
    STEM_CHANNELS,
    STEM_SIDE,
    floor_of,
)

RUNS = 20
LEAST_FLEX_CHANNELS = 16
# What others make.
PEERS = ("flex", "natten")
# Which form is compared with which, over the stages.
COMPARED = (("layer", "conv 3×3"), ("unfold", "triton"), ("blocks", "triton"), ("flex", "triton"), ("triton", "natten"))
Form = Callable[[], Tensor]


def print_table(batch: int, extents: list[int]) -> list[dict[str, Any]]:
    """Measures the four stages in bfloat16 and prints a row for each form. Returns the rows."""
    name = torch.cuda.get_device_name()
    known = next((device for device in DEVICES if device.name.split()[0] in name), None)
    print(f"{name}, batch {batch}, bfloat16, {HEADS} heads, relative positions; medians of {RUNS} runs")
    if importlib.util.find_spec("natten") is None:
        print("NATTEN is not installed.")
    else:
        print("NATTEN is without the relative terms, which it lacks, and shifts its windows at the border.")
    print("`× blocks` is blocks' time over the form's, of forward and backward; `floor` the floor's share of it;")
    print("times are the GPU's own: runs wait in its queue, so that what launches cost the CPU is not in them")
    print(f"{'k':>2} {'shape':>15} {'form':>12} {'forward':>8} {'both ms':>8} {'MB':>8} {'× blocks':>8} {'floor':>6}")
    rows = []
    for extent, shape in [*product(extents, SHAPES), (STEM_WINDOW, STEM)]:
        found = measure_stem(batch) if shape == STEM else measure(shape, extent, batch)
        least = None if known is None else floor_of(shape, extent, batch).least_ms(known)
        # What did not fit into memory has no time to be compared with.
        blocks_ms = found["blocks"]["both_ms"] if "blocks" in found else math.nan
        for form, figures in found.items():
            row = {"extent": extent, "shape": shape, "form": form, **figures}
            row["times_blocks"] = blocks_ms / figures["both_ms"]
            row["floor_share"] = None if least is None else least / figures["both_ms"]
            share = "" if row["floor_share"] is None else f"{row['floor_share']:6.1%}"
            rows.append(row)
            print(f"{extent:>2} {shape:>15} {form:>12} {row['forward_ms']:8.3f} {row['both_ms']:8.3f}"
                      f" {row['megabytes']:8.0f} {row['times_blocks']:8.2f} {share}", flush=True)  # fmt: skip
    print_means(rows)
    return rows


def print_means(rows: list[dict[str, Any]]) -> None:
    """The geometric means over the stages, of what fitted into memory in all of them."""
    of_form = {(row["extent"], row["form"], row["shape"]): row for row in rows if row["shape"] != STEM}
    for extent in sorted({row["extent"] for row in rows if row["shape"] != STEM}):
        for one, other in COMPARED:
            pairs = [(of_form.get((extent, one, shape)), of_form.get((extent, other, shape))) for shape in SHAPES]
            ratios = [(left["both_ms"] / right["both_ms"], left["megabytes"] / right["megabytes"])
                      for left, right in pairs if left is not None and right is not None]  # fmt: skip
            if len(ratios) == len(SHAPES):
                times, memory = (statistics.geometric_mean(each) for each in zip(*ratios, strict=True))
                print(f"k = {extent}, geometric means over the stages: {one} takes {times:.2f} × the time of {other},"
                      f" and {memory:.2f} × its memory")  # fmt: skip


def measure(shape: str, extent: int, batch: int) -> dict[str, dict[str, float]]:
    """Times and peak memory of each form on one stage; forms that do not fit into memory are left out."""
    side, channels = SHAPES[shape]
    inputs = attention_inputs(batch, side, channels, extent, "cuda", torch.bfloat16)
    width = HEADS * channels
    image = torch.randn(batch, width, side, side, device="cuda", dtype=torch.bfloat16)
    image = image.to(memory_format=torch.channels_last).requires_grad_()
    layer = LocalSelfAttention(width, width, Attention(extent, HEADS, "relative"), backend="triton")
    layer = layer.to("cuda", torch.bfloat16)
    convolution = nn.Conv2d(width, width, 3, padding=1, bias=False).to("cuda", torch.bfloat16)
    convolution.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    forms: dict[str, tuple[Form, list[Tensor]]] = {
        name: (form, inputs) for name, form in forms_of(inputs, extent, compiled=True).items()
    }
    forms["layer"] = (lambda: layer(image), [image, *layer.parameters()])
    forms["conv 3×3"] = (lambda: convolution(image), [image, *convolution.parameters()])
    return figures_of(forms, shape)


def measure_stem(batch: int) -> dict[str, dict[str, float]]:
    """The same of the attention stem, in plain torch and by the kernels, and of the convolution that it replaces; with
    batch norm and pooling, and without a gradient of the images."""
    images = torch.randn(batch, COLOURS, STEM_SIDE, STEM_SIDE, device="cuda", dtype=torch.bfloat16)
    images = images.to(memory_format=torch.channels_last)
    forms: dict[str, tuple[Form, list[Tensor]]] = {}
    backends: tuple[StemBackend, ...] = ("blocks", "triton")
    for backend in backends:
        stem = AttentionStem(COLOURS, STEM_CHANNELS, "attention", 4, backend=backend).to("cuda", torch.bfloat16)
        forms[backend] = (partial(stem, images), list(stem.parameters()))
    convolution = nn.Sequential(
        nn.Conv2d(COLOURS, STEM_CHANNELS, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(STEM_CHANNELS),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
    ).to("cuda", torch.bfloat16)
    convolution.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    forms["conv 7×7"] = (partial(convolution, images), list(convolution.parameters()))
    return figures_of(forms, STEM)


def figures_of(forms: dict[str, tuple[Form, list[Tensor]]], shape: str) -> dict[str, dict[str, float]]:
    """Times and peak memory of each form; what does not fit into memory, and a peer that cannot do it, is left out."""
    found = {}
    for name, (form, differentiated) in forms.items():
        both = partial(gradients, form, differentiated)
        try:
            found[name] = {
                "forward_ms": median_ms(form, RUNS),
                "both_ms": median_ms(both, RUNS),
                "megabytes": peak_megabytes(both),
            }
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            print(f"{name} at {shape} does not fit into memory")
        except Exception as error:  # A peer that cannot do something says so by errors of many kinds.
            if name not in PEERS:
                raise
            print(f"{name} at {shape} cannot do this: {first_line(error)}")
    return found


def forms_of(inputs: list[Tensor], extent: int, *, compiled: bool) -> dict[str, Form]:
    """The ways to compute attention of these inputs. FlexAttention runs compiled, or plainly on a CPU."""

    def by(backend: Backend) -> Form:
        query, key, value, row, column = inputs
        return lambda: local_attention(query, key, value, row, column, spatial_extent=extent, backend=backend)

    forms = {"unfold": by("reference"), "blocks": by("blocks"), "triton": by("triton")}
    forms["flex"] = flex_form(inputs, extent, compiled=compiled)
    if importlib.util.find_spec("natten") is not None:
        na2d = importlib.import_module("natten").na2d
        query, key, value = inputs[:3]
        forms["natten"] = lambda: na2d(query, key, value, kernel_size=extent, scale=1.0)
    return forms


def flex_form(inputs: list[Tensor], extent: int, *, compiled: bool) -> Form:
    """The same function by FlexAttention: neighbours by its mask, q·r by its score, from products of Q·K numbers."""
    query_BHWND, _, _, row_NKd, column_NKd = inputs
    height, width, _, channels = query_BHWND.shape[1:]
    reach = extent // 2
    half = channels // 2

    def offsets(query_index: Tensor, key_index: Tensor) -> tuple[Tensor, Tensor]:
        return key_index // width - query_index // width + reach, key_index % width - query_index % width + reach

    def is_near(image: Tensor, head: Tensor, query_index: Tensor, key_index: Tensor) -> Tensor:
        row, column = offsets(query_index, key_index)
        return (row >= 0) & (row < extent) & (column >= 0) & (column < extent)

    mask = create_block_mask(
        is_near, None, None, height * width, height * width, device=str(query_BHWND.device), _compile=False
    )
    attend: Any = torch.compile(flex_attention, dynamic=False) if compiled else flex_attention

    # FlexAttention takes no fewer channels; zeros beside them change nothing.
    filled = max(0, LEAST_FLEX_CHANNELS - channels)

    def run() -> Tensor:
        query, key, value = (features.flatten(1, 2).transpose(1, 2) for features in inputs[:3])
        row_terms_BNQK = query[..., :half] @ row_NKd.to(query.dtype).transpose(-1, -2)
        column_terms_BNQK = query[..., half:] @ column_NKd.to(query.dtype).transpose(-1, -2)

        def with_positions(
            score: Tensor, image: Tensor, head: Tensor, query_index: Tensor, key_index: Tensor
        ) -> Tensor:
            row, column = (offset.clamp(0, extent - 1) for offset in offsets(query_index, key_index))
            in_rows = row_terms_BNQK[image, head, query_index, row]
            return score + in_rows + column_terms_BNQK[image, head, query_index, column]

        query, key, value = (nn.functional.pad(features, (0, filled)) for features in (query, key, value))
        output_BNQD = attend(query, key, value, score_mod=with_positions, block_mask=mask, scale=1.0)
        return output_BNQD[..., :channels].transpose(1, 2).unflatten(1, (height, width))

    return run


def attention_inputs(
    batch: int, side: int, channels: int, extent: int, device: str, dtype: torch.dtype
) -> list[Tensor]:
    """Query, key and value as the layer's projection leaves them, and the embeddings in float32."""
    projected = torch.randn(batch, side, side, 3, HEADS, channels, device=device, dtype=dtype)
    features = [features.requires_grad_() for features in projected.unbind(3)]
    embeddings = [0.02 * torch.randn(HEADS, extent, channels // 2, device=device) for _ in range(2)]
    return features + [embedding.requires_grad_() for embedding in embeddings]


def gradients(form: Form, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    output = form()
    # NATTEN knows no embeddings.
    return torch.autograd.grad(output, inputs, torch.ones_like(output), allow_unused=True)


def peak_megabytes(run: Callable[[], object]) -> float:
    """What a run takes at its peak beyond what is held before it."""
    torch.cuda.synchronize()
    held = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run()
    return (torch.cuda.max_memory_allocated() - held) / 1e6


def print_training_steps(batch: int) -> None:
    """A training step of full-attention ResNet-50 at 224×224, beside ResNet-50's."""
    found = {}
    for name in ("resnet50", "resnet50-attention"):
        model = build(architecture_named(name), image_size=224).cuda()
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for module in model.modules():
            if isinstance(module, (LocalSelfAttention, AttentionStem)):
                module.backend = "triton"
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)
        images = torch.randn(batch, 3, 224, 224, device="cuda").to(memory_format=torch.channels_last)
        labels = torch.randint(1000, (batch,), device="cuda")

        def step(
            model: nn.Module = model,
            optimizer: torch.optim.Optimizer = optimizer,
            images: Tensor = images,
            labels: Tensor = labels,
        ) -> None:
            optimizer.zero_grad()
            with torch.autocast("cuda", dtype=torch.bfloat16):
                loss = nn.functional.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()

        found[name] = median_ms(step, RUNS)
        print(f"a step of {name}, {batch} images: {found[name]:.1f} ms, {peak_megabytes(step):.0f} MB", flush=True)
    print(f"attention takes {found['resnet50-attention'] / found['resnet50']:.2f} times as long")
