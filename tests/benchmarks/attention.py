"""Local attention against its plain form and against the convolution that it replaces: time and memory, in one run.

    python tests/benchmarks/attention.py [--batch 4] [--extents 3 5 7 11] [--repeats 5] [--json FILE]
    python tests/benchmarks/attention.py --device cuda [--batch 128] [--extents 7] [--json FILE]

On the CPU: forward and backward in float32, 8 heads, relative positions, on the four stages of a ResNet at 224×224.
Times are the least over the repeats, which alternate between the forms, so that what else the machine does disturbs
them alike. On CUDA: the same in bfloat16 for every form that is there, as medians, and a training step of ResNet-50.
Memory is torch's own allocations at their peak, less what was held before and the results that every form returns.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from search_spaces.architecture import Attention
from search_spaces.attention.dispatch import Backend, backend_for, local_attention
from search_spaces.attention.layer import LocalSelfAttention

HEADS = 8
SHAPES = {"56×56×64": (56, 64), "28×28×128": (28, 128), "14×14×256": (14, 256), "7×7×512": (7, 512)}
SMALL_SHAPES = {"16×16×16": (16, 16), "8×8×32": (8, 32), "4×4×64": (4, 64), "2×2×128": (2, 128)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where (default: cpu)")
    parser.add_argument("--batch", type=int, help="images (default: 4 on the CPU, 128 on CUDA)")
    parser.add_argument("--extents", type=int, nargs="+", help="spatial extents k (default: 3 5 7 11, on CUDA 7)")
    parser.add_argument("--repeats", type=int, default=5, help="rounds of each measurement (default: 5)")
    parser.add_argument("--threads", type=int, default=2, help="torch's threads (default: 2)")
    parser.add_argument("--small", action="store_true", help="the stages of a quarter-width ResNet at 16×16 instead")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    arguments = parser.parse_args()
    if arguments.device == "cuda":
        run_on_cuda(arguments.batch or 128, arguments.extents or [7], arguments.json)
        return
    arguments.batch, arguments.extents = arguments.batch or 4, arguments.extents or [3, 5, 7, 11]
    torch.set_num_threads(arguments.threads)
    started = time.perf_counter()
    backend = warm_up()
    print(f"backend {backend}, ready in {time.perf_counter() - started:.1f} s (compiled, or loaded from the cache)")
    print(f"batch {arguments.batch}, {arguments.threads} threads, ms; × is unfold / backend, layer and conv in one run")
    print(f"{'k':>2} {'shape':>10} {'unfold':>9} {'blocks':>8} {backend:>8} {'×':>6} {'layer':>8} {'conv 3×3':>9}"
          f" {'layer/conv':>10} {'unfold MB':>10} {backend + ' MB':>9} {'share':>6}")  # fmt: skip
    rows: list[dict[str, Any]] = []
    for extent in arguments.extents:
        for shape, (side, channels) in (SMALL_SHAPES if arguments.small else SHAPES).items():
            row = {"extent": extent, "shape": shape} | measure(
                arguments.batch, side, channels, extent, arguments.repeats
            )
            rows.append(row)
            print(f"{extent:>2} {shape:>10} {row['unfold_ms']:9.1f} {row['blocks_ms']:8.2f} {row['backend_ms']:8.2f}"
                  f" {row['speedup']:6.1f} {row['layer_ms']:8.2f} {row['convolution_ms']:9.2f}"
                  f" {row['layer_over_convolution']:10.2f} {row['unfold_megabytes']:10.1f}"
                  f" {row['backend_megabytes']:9.2f} {row['memory_share']:6.3f}", flush=True)  # fmt: skip
        of_extent = rows[-len(SHAPES) :]
        print(f"{extent:>2} geometric mean: {geometric_mean(of_extent, 'speedup'):.1f}× faster than unfold, layer"
              f" {geometric_mean(of_extent, 'layer_over_convolution'):.2f}× the time of the convolution")  # fmt: skip
    if arguments.json:
        settings = {"batch": arguments.batch, "threads": arguments.threads, "heads": HEADS, "backend": backend}
        arguments.json.write_text(json.dumps(settings | {"rows": rows}, indent=2), encoding="utf-8")


def run_on_cuda(batch: int, extents: list[int], path: Path | None) -> None:
    if not torch.cuda.is_available():
        sys.exit(
            "error: no CUDA device is here; tests/benchmarks/attention_resources.py says what is known without one."
        )
    from tests.benchmarks.attention_on_cuda import print_table, print_training_steps

    rows = print_table(batch, extents)
    print_training_steps(batch)
    if path is not None:
        content = {"device": torch.cuda.get_device_name(), "batch": batch, "heads": HEADS, "rows": rows}
        path.write_text(json.dumps(content, indent=2), encoding="utf-8")


def warm_up() -> Backend:
    """Compiles, or loads, the backend that "auto" stands for, and says which."""
    inputs = attention_inputs(1, 3, 16, 3)
    gradients(lambda: local_attention(*inputs, spatial_extent=3), inputs)()
    return backend_for(inputs[0])


def measure(batch: int, side: int, channels: int, extent: int, repeats: int) -> dict[str, float]:
    inputs = attention_inputs(batch, side, channels, extent)
    image = torch.randn(batch, channels, side, side).requires_grad_()
    layer = LocalSelfAttention(channels, channels, Attention(extent, HEADS, "relative"))
    convolution = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def attention(backend: Backend) -> Callable[[], list[Tensor]]:
        return gradients(lambda: local_attention(*inputs, spatial_extent=extent, backend=backend), inputs)

    forms = {
        "unfold": attention("reference"),
        "blocks": attention("blocks"),
        "backend": attention("auto"),
        "layer": gradients(lambda: layer(image), [image, *layer.parameters()]),
        "convolution": gradients(lambda: convolution(image), [image, *convolution.parameters()]),
    }
    found = {f"{form}_ms": milliseconds for form, milliseconds in least_milliseconds(forms, repeats).items()}
    found |= {f"{form}_megabytes": peak_megabytes(forms[form]) for form in ("unfold", "blocks", "backend")}
    found["speedup"] = found["unfold_ms"] / found["backend_ms"]
    found["layer_over_convolution"] = found["layer_ms"] / found["convolution_ms"]
    found["memory_share"] = found["backend_megabytes"] / found["unfold_megabytes"]
    return found


def attention_inputs(batch: int, side: int, channels: int, extent: int) -> list[Tensor]:
    """Query, key and value as 1×1 convolutions leave them, and the row and column embeddings."""
    depth = channels // HEADS
    features = [
        torch.randn(batch, channels, side, side).permute(0, 2, 3, 1).unflatten(-1, (HEADS, depth)) for _ in range(3)
    ]
    embeddings = [torch.randn(HEADS, extent, depth // 2) for _ in range(2)]
    return [tensor.requires_grad_() for tensor in features + embeddings]


def gradients(forward: Callable[[], Tensor], inputs: list[Tensor]) -> Callable[[], list[Tensor]]:
    """Forward and backward: a call returns the output and the gradient of each input."""
    output_gradient = torch.ones_like(forward().detach())

    def run() -> list[Tensor]:
        output = forward()
        return [output.detach(), *torch.autograd.grad(output, inputs, output_gradient)]

    return run


def least_milliseconds(forms: dict[str, Callable[[], list[Tensor]]], repeats: int) -> dict[str, float]:
    least = dict.fromkeys(forms, math.inf)
    for _ in range(repeats):
        for form, run in forms.items():
            spent = 0.0
            while spent < 0.1:
                started = time.perf_counter()
                run()
                seconds = time.perf_counter() - started
                least[form] = min(least[form], 1e3 * seconds)
                spent += seconds
    return least


def peak_megabytes(run: Callable[[], list[Tensor]]) -> float:
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        results = run()
    assert profiler.profiler is not None and profiler.profiler.kineto_results is not None
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return (peak - sum(tensor.untyped_storage().nbytes() for tensor in results)) / 1e6


def geometric_mean(rows: list[dict[str, Any]], name: str) -> float:
    return math.exp(sum(math.log(row[name]) for row in rows) / len(rows))


if __name__ == "__main__":
    main()
