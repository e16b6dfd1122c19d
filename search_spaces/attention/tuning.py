"""What is found out on a GPU: the fastest tile of each kernel, and whether the kernels beat plain torch.

Every tile that may be good is compiled, held against the committed one's results, and timed. That takes minutes, and is
done once a device, never while something trains.

Shapes: B batch, H height, W width, N heads, D channels a head, K spatial extent.
"""

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
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
    SIDE,
    STEM_PASSES,
    Choices,
    LocalPass,
    TileCase,
    TileChoice,
    case_for,
    choice_for,
    stem_case_for,
)
from search_spaces.errors import first_line

HEADS = 8
WARM_UP_RUNS, RUNS = 3, 11
# How far a tile's results may lie from another's, by the largest of them: sums are rounded in another order.
TOLERANCE = {"float32": 1e-4, "float16": 0.01, "bfloat16": 0.05, "float64": 1e-9}
# Matrices of 8192 × 8192, whose product takes a GPU one to four milliseconds.
MULTIPLIED_MEANWHILE, SIDE_OF_MATRIX = 4, 8192
# What is tried of local attention: heads and pixels of a program, which has a warp for each 16 of their pairs; how much
# of the window at a time; and stages of loads, with the window unrolled or in a loop, and registers.
HEADS_AND_PIXELS = ((4, 16), (2, 16), (2, 32), (1, 64))
WINDOWS = (64, 128)
STAGES = ((3, True, 0), (2, True, 0), (2, False, 0))
STAGES_FORWARD = (*STAGES, (2, True, 128))
STAGES_BACKWARD = (*STAGES, (1, False, 0), (1, False, 128))

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


def candidates(case: TileCase) -> Iterator[TileChoice]:
    """The tiles that are tried."""
    if case.part in STEM_PASSES:
        for (heads, blocks), warps, stages in product(((1, 1), (2, 1), (4, 1), (4, 2)), (2, 4, 8), (1, 2)):
            # With more threads than a pair of a head and a block has pixels, Triton's compiler breaks off.
            if warps <= 8 * heads * blocks:
                yield TileChoice(heads, blocks, SIDE, warps, stages)
        return
    for heads, pixels in HEADS_AND_PIXELS:
        warps = heads * pixels // 16
        forward = case.part == "forward"
        for window, choices in product(
            WINDOWS if forward else WINDOWS[:1], STAGES_FORWARD if forward else STAGES_BACKWARD
        ):
            yield TileChoice(heads, pixels, window, warps, *choices)


def best_choice(
    first: TileChoice, others: Iterable[TileChoice], milliseconds: Callable[[TileChoice], float]
) -> TileChoice:
    """The fastest, where another has to be 2 % faster than the first, which the clock's noise is not."""
    best, least = first, milliseconds(first) * 0.98
    for choice in others:
        if choice != first and (found := milliseconds(choice)) < least:
            best, least = choice, found
    return best


def median_ms(run: Callable[[], object], runs: int = RUNS) -> float:
    """The median time of a run on the current CUDA device after some that do not count, in milliseconds: the GPU's own,
    which multiplies matrices while the run is put into its queue, since most launches take the CPU longer than what is
    launched takes the GPU."""
    matrix = torch.ones(SIDE_OF_MATRIX, SIDE_OF_MATRIX, device="cuda", dtype=torch.bfloat16)
    times = []
    for index in range(WARM_UP_RUNS + runs):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        for _ in range(MULTIPLIED_MEANWHILE):
            matrix @ matrix
        start.record()
        run()
        end.record()
        torch.cuda.synchronize()
        if index >= WARM_UP_RUNS:
            times.append(start.elapsed_time(end))
    return statistics.median(times)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@dataclass(frozen=True)
class Tuning:
    """How a device is tuned: where, on how many images, for which shapes, which tiles are tried for a case, what times
    a run, and who is told."""

    device: str
    batch: int
    shapes: tuple[Shape, ...]
    stem_shape: Shape
    candidates: Callable[[TileCase], Iterable[TileChoice]]
    clock: Clock
    say: Callable[[str], None]

    def tiles(self, dtype: torch.dtype, extents: Sequence[int], tuned: Choices) -> Choices:
        """The fastest tiles of all shapes, begun with what is `tuned` already; of shapes that are one case, those of
        the first."""
        found: dict[TileCase, TileChoice] = {}
        for shape, extent in product(self.shapes, extents):
            if _case("forward", shape, extent, dtype) not in found:
                found |= self.local_tiles(shape, extent, dtype, {**tuned, **found})
        return {**tuned, **found, **self.stem_tiles(self.stem_shape, dtype, tuned)}

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
            case = _case(part, shape, extent, dtype)

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

        best = best_choice(first, self.candidates(case), milliseconds)
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


def _case(part: LocalPass, shape: Shape, extent: int, dtype: torch.dtype) -> TileCase:
    return case_for(part, shape.side, shape.side, shape.channels, extent, _name(dtype))


def _is_close(found: Tensor, right: Tensor, tolerance: float) -> bool:
    return bool(((found.double() - right).abs().max() <= tolerance * right.abs().max().clamp(min=1)).item())


def _said(case: TileCase, choice: TileChoice) -> str:
    window = ", whole images" if case.whole else ""
    return f"{case.part}, {case.dtype}, {case.channels} channels, extent {case.extent}{window}: {choice}"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
