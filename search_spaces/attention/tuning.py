"""What is found out on a GPU: the fastest tile of each kernel, and whether the kernels beat plain torch.

Every tile that may be good is compiled, held against the committed one's results, and timed. That takes minutes, and is
done once a device, never while something trains.

Shapes: B batch, H height, W width, N heads, D channels a head, K spatial extent.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import torch
from torch import Tensor

from search_spaces.architecture import STEM_HEADS, STEM_WINDOW
from search_spaces.attention.device_table import DeviceTable, Measurement
from search_spaces.attention.dispatch import Backend, StemBackend, local_attention
from search_spaces.attention.inputs import Inputs
from search_spaces.attention.stem import AttentionStem
from search_spaces.attention.triton_tiles import (
    LOCAL_PASSES,
    Choices,
    TileCase,
    TileChoice,
    case_for,
    choice_for,
    divisions,
    most_warps,
    stem_case_for,
)
from search_spaces.errors import first_line

HEADS = 8
WARM_UP_RUNS, RUNS = 3, 11
# How far a tile's results may lie from another's, by the largest of them: sums are rounded in another order.
TOLERANCE = {"float32": 1e-4, "float16": 0.01, "bfloat16": 0.05, "float64": 1e-9}
# Of heads of so many channels parts are tried: so many multiplied at a time, and so many that a program writes.
WIDE_HEAD = 64
PARTS_OF_WIDE_HEADS = ((32, 0), (32, 64), (32, 32))

Run = Callable[[], Sequence[Tensor]]
Clock = Callable[[Run], float]


@dataclass(frozen=True, slots=True)
class Shape:
    """Images of `side` pixels, and the channels of a head of local attention in them."""

    side: int
    channels: int


# The stages of a ResNet at 224×224 and of one at 32×32, with 8 heads.
SHAPES = (Shape(56, 8), Shape(28, 16), Shape(14, 32), Shape(7, 64), Shape(32, 8), Shape(16, 16), Shape(8, 32))
STEM_SHAPE = Shape(224, 16)


def candidates() -> Iterator[TileChoice]:
    """The tiles that are tried."""
    for strips, warps, stages in product((1, 2, 4, 8), (2, 4, 8), (1, 2)):
        if warps <= most_warps(strips):
            yield TileChoice(strips, warps, stages)


def in_parts(choices: Iterable[TileChoice], case: TileCase) -> Iterator[TileChoice]:
    """The choices with all channels of a head at once, and, where these are many, in parts."""
    for choice in choices:
        yield choice
        for multiplied, written in PARTS_OF_WIDE_HEADS:
            if (multiplied, written) in divisions(case) and case.channels >= WIDE_HEAD:
                yield replace(choice, multiplied=multiplied, written=written)


def best_choice(
    first: TileChoice, others: Iterable[TileChoice], milliseconds: Callable[[TileChoice], float]
) -> TileChoice:
    """The fastest, where another has to be 2 % faster than the first, which the clock's noise is not."""
    best, least = first, milliseconds(first) * 0.98
    for choice in others:
        if choice != first and (found := milliseconds(choice)) < least:
            best, least = choice, found
    return best


def median_ms(run: Run) -> float:
    """The median time of a run after some that do not count, in milliseconds."""
    times = []
    for index in range(WARM_UP_RUNS + RUNS):
        _wait()
        started = time.perf_counter()
        run()
        _wait()
        if index >= WARM_UP_RUNS:
            times.append(1e3 * (time.perf_counter() - started))
    return statistics.median(times)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@dataclass(frozen=True)
class Tuning:
    """How a device is tuned: where, on how many images, for which shapes, which tiles are tried, what times a run, and
    who is told."""

    device: str
    batch: int
    shapes: tuple[Shape, ...]
    stem_shape: Shape
    choices: tuple[TileChoice, ...]
    clock: Clock
    say: Callable[[str], None]

    def tiles(self, dtype: torch.dtype, extents: Sequence[int], tuned: Choices) -> Choices:
        """The fastest tiles of all shapes, begun with what is `tuned` already."""
        found = dict(tuned)
        for shape, extent in product(self.shapes, extents):
            found |= self.local_tiles(shape, extent, dtype, found)
        return found | self.stem_tiles(self.stem_shape, dtype, found)

    def measurements(self, dtype: torch.dtype, extents: Sequence[int]) -> tuple[Measurement, ...]:
        """Whether the kernels beat plain torch, for all shapes."""
        of_local = [self.measure_local(shape, extent, dtype) for shape, extent in product(self.shapes, extents)]
        return *of_local, self.measure_stem(self.stem_shape, dtype)

    def local_tiles(self, shape: Shape, extent: int, dtype: torch.dtype, tuned: Choices) -> dict[TileCase, TileChoice]:
        """The fastest tiles of the three passes of one shape, the others as `tuned`."""
        from search_spaces.attention.triton_attention import triton_backward, triton_forward

        inputs = self._inputs(shape, extent, dtype)
        gradient = torch.randn_like(inputs[0])
        output, log_sum = triton_forward(inputs, extent, tuned)
        found: dict[TileCase, TileChoice] = {}
        for part in LOCAL_PASSES:
            case = case_for(part, shape.side, shape.channels, extent, _name(dtype))

            def run(choice: TileChoice, case: TileCase = case) -> Sequence[Tensor]:
                choices = {**tuned, **found, case: choice}
                if case.part == "forward":
                    return triton_forward(inputs, extent, choices)
                return triton_backward(gradient, inputs, output, log_sum, extent, choices)

            found[case] = self._fastest(case, run, {**tuned, **found})
        return found

    def stem_tiles(self, shape: Shape, dtype: torch.dtype, tuned: Choices) -> dict[TileCase, TileChoice]:
        """The same of the stem's two passes."""
        from search_spaces.attention.triton_stem import triton_stem_backward, triton_stem_forward

        images = torch.randn(self.batch, 3, shape.side, shape.side, device=self.device, dtype=dtype)
        with torch.no_grad():
            inputs = self._stem(shape).triton_inputs(images)
        gradient = torch.randn_like(triton_stem_forward(inputs, tuned))
        runs = {
            "stem forward": lambda choices: [triton_stem_forward(inputs, choices)],
            "stem backward": lambda choices: triton_stem_backward(gradient, inputs, False, choices),
        }
        found: dict[TileCase, TileChoice] = {}
        for part, run in runs.items():
            case = stem_case_for(part, shape.channels, _name(dtype))  # type: ignore[arg-type]
            found[case] = self._fastest(case, lambda choice, c=case, r=run: r({**tuned, c: choice}), tuned)  # type: ignore[misc]
        return found

    def _fastest(self, case: TileCase, run: Callable[[TileChoice], Sequence[Tensor]], tuned: Choices) -> TileChoice:
        first = choice_for(case, tuned)
        right = [tensor.double() for tensor in run(first)]

        def milliseconds(choice: TileChoice) -> float:
            try:
                found = run(choice)
                _wait()
            # Of a tile that does not fit, or that Triton cannot compile, it says so by errors of many kinds.
            except Exception as error:
                self.say(f"{_said(case, choice)}: {first_line(error)[:100]}")
                return float("inf")
            if not all(map(partial(_is_close, tolerance=TOLERANCE[case.dtype]), found, right)):
                self.say(f"{_said(case, choice)}: computes something else, and is left out")
                return float("inf")
            return self.clock(lambda: run(choice))

        best = best_choice(first, in_parts(self.choices, case), milliseconds)
        self.say(f"{_said(case, best)}, {'the committed one' if best == first else f'instead of {first}'}")
        return best

    def measure_local(self, shape: Shape, extent: int, dtype: torch.dtype) -> Measurement:
        """Forward and backward of one shape, by the kernels with what is tuned, and by plain torch."""
        inputs = [tensor.requires_grad_() for tensor in self._inputs(shape, extent, dtype) if tensor is not None]
        query, key, value, row, column = inputs

        def milliseconds(backend: Backend) -> float:
            def run() -> Sequence[Tensor]:
                output = local_attention(query, key, value, row, column, spatial_extent=extent, backend=backend)
                return torch.autograd.grad(output, inputs, torch.ones_like(output))

            return self.clock(run)

        times = milliseconds("triton"), milliseconds("blocks")
        return Measurement("local", _name(dtype), shape.channels, extent, shape.side, *times)

    def measure_stem(self, shape: Shape, dtype: torch.dtype) -> Measurement:
        """The same of the stem."""
        module = self._stem(shape).to(dtype)
        images = torch.randn(self.batch, 3, shape.side, shape.side, device=self.device, dtype=dtype)

        def milliseconds(backend: StemBackend) -> float:
            module.backend = backend

            def run() -> Sequence[Tensor]:
                output = module(images)
                return torch.autograd.grad(output, list(module.parameters()), torch.ones_like(output))

            return self.clock(run)

        times = milliseconds("triton"), milliseconds("blocks")
        return Measurement("stem", _name(dtype), shape.channels, STEM_WINDOW, shape.side, *times)

    def _stem(self, shape: Shape) -> AttentionStem:
        return AttentionStem(3, STEM_HEADS * shape.channels, "attention", 4).to(self.device)

    def _inputs(self, shape: Shape, extent: int, dtype: torch.dtype) -> Inputs:
        size = (self.batch, shape.side, shape.side, 3, HEADS, shape.channels)
        query, key, value = torch.randn(size, device=self.device, dtype=dtype).unbind(3)
        row, column = torch.randn(2, HEADS, extent, shape.channels // 2, device=self.device)
        return query, key, value, row, column


def merged(old: DeviceTable, new: DeviceTable) -> DeviceTable:
    """Both, where they differ as the new one has it."""

    def what(one: Measurement) -> tuple[str, str, int, int, int]:
        return one.operation, one.dtype, one.channels, one.extent, one.width

    measurements = {what(one): one for one in (*old.measurements, *new.measurements)}
    return DeviceTable({**old.tiles, **new.tiles}, tuple(measurements.values()))


def _is_close(found: Tensor, right: Tensor, tolerance: float) -> bool:
    return bool(((found.double() - right).abs().max() <= tolerance * right.abs().max().clamp(min=1)).item())


def _said(case: TileCase, choice: TileChoice) -> str:
    window = f"{'whole rows of ' if case.whole else ''}{case.window} keys"
    return f"{case.part}, {case.dtype}, {case.channels} channels, {window}: {choice}"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
