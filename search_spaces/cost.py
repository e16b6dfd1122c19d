"""FLOPs and parameters of a description, exact, without building it.

Convention (arXiv 1906.05909): a multiply and an add are 2 FLOPs. Counted for one image: the multiply-adds of
convolutions, fully connected layers and projections; for attention q·k, q·r and the weighted sum of values over all K²
neighbours of every pixel, those beyond the border included; for the attention stem the same over its 4×4 blocks (of the
image padded to whole blocks), the mixture of its values and the mixture's weights. Nothing element-wise (batch norm,
activations, softmax, pooling, additions). The count does not depend on how attention is computed.

    python -m search_spaces.cost NAME|FILE.json|BUNDLE [--image-size 224] [--in-channels 3] [--classes 1000] [--json]
"""

from search_spaces.ctrl_c import end_on_ctrl_c

if __name__ == "__main__":
    # What is imported next takes a while.
    end_on_ctrl_c()

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from search_spaces.architecture import (
    EXPANSION,
    STAGE_COUNT,
    STEM_MIXTURES,
    STEM_WINDOW,
    Architecture,
    Attention,
    Operator,
    Stem,
    stem_stride,
)
from search_spaces.arguments import ArgumentParser, number, path
from search_spaces.errors import UserError
from search_spaces.exit_codes import MISTAKE, SUCCESS
from search_spaces.programs import program
from search_spaces.standard_streams import run_program
from search_spaces.units import counted

CONVENTION = "2 FLOPs per multiply-add; convolutions, linear layers, projections and attention products; batch 1"

# What is counted for where nothing else is said: ImageNet's.
IMAGENET = {"image_size": 224, "in_channels": 3, "classes": 1000}

PARTS = ("stem", "conv1x1", "conv3x3", "qkv", "attention", "head")


@dataclass(frozen=True, slots=True)
class PartCost:
    """What one part of one section ("stem", "stage1" … "stage4", "head") costs."""

    section: str
    part: str
    flops: int
    params: int


@dataclass(frozen=True, slots=True)
class Cost:
    """FLOPs of one image (2 a multiply-add) and parameters, in all and by part."""

    flops: int
    params: int
    parts: tuple[PartCost, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "convention": CONVENTION,
            "flops": self.flops,
            "params": self.params,
            "parts": [
                {"section": part.section, "part": part.part, "flops": part.flops, "params": part.params}
                for part in self.parts
            ],
        }


def cost(architecture: Architecture, *, image_size: int, in_channels: int = 3, classes: int = 1000) -> Cost:
    """The cost of a description on one square image of `image_size` pixels a side."""
    stride = stem_stride(image_size)
    parts = [_stem_cost(architecture.stem, architecture.base_channels, image_size, stride, in_channels)]
    size = -(-image_size // stride)
    channels_in = architecture.base_channels
    for index, operators in enumerate(architecture.stages):
        channels = architecture.stage_channels(index)
        parts += _stage_cost(index, channels_in, channels, operators, size)
        channels_in = channels * EXPANSION
        size = -(-size // _stride_of_stage(index))
    features = architecture.stage_channels(STAGE_COUNT - 1) * EXPANSION
    parts.append(PartCost("head", "head", 2 * features * classes, (features + 1) * classes))
    return Cost(sum(part.flops for part in parts), sum(part.params for part in parts), tuple(parts))


def part_params(
    architecture: Architecture, *, image_size: int, in_channels: int = 3, classes: int = 1000
) -> dict[str, int]:
    """The parameters of the stem, of each block and of the head, by names as in a network's state: "stages.0.1"."""
    sections = {
        part.section: part.params
        for part in cost(architecture, image_size=image_size, in_channels=in_channels, classes=classes).parts
    }
    params = {"stem": sections["stem"], "head": sections["head"]}
    channels_in = architecture.base_channels
    for index, operators in enumerate(architecture.stages):
        channels = architecture.stage_channels(index)
        for position, operator in enumerate(operators):
            stride = _stride_of_stage(index) if position == 0 else 1
            # No layer's parameters depend on the size of what it is applied to.
            parts = _block_cost(channels_in, channels, operator, stride, 1)
            params[f"stages.{index}.{position}"] = sum(count for _, _, count in parts)
            channels_in = channels * EXPANSION
    return params


# Proposals count tens of thousands of architectures, of which most stages have been counted in others.
@lru_cache(maxsize=65536)
def _stage_cost(
    index: int, channels_in: int, channels: int, operators: tuple[Operator, ...], size: int
) -> tuple[PartCost, ...]:
    flops = dict.fromkeys(PARTS, 0)
    params = dict.fromkeys(PARTS, 0)
    for position, operator in enumerate(operators):
        stride = _stride_of_stage(index) if position == 0 else 1
        for part, part_flops, part_params in _block_cost(channels_in, channels, operator, stride, size):
            flops[part] += part_flops
            params[part] += part_params
        channels_in = channels * EXPANSION
        size = -(-size // stride)
    return tuple(PartCost(f"stage{index + 1}", part, flops[part], params[part]) for part in PARTS if params[part])


def _stride_of_stage(index: int) -> int:
    return 2 if index > 0 else 1


# Where each block is chosen for itself, stages are rarely the same, and blocks are.
@lru_cache(maxsize=4096)
def _block_cost(
    channels_in: int, channels: int, operator: Operator, stride: int, size: int
) -> tuple[tuple[str, int, int], ...]:
    """(part, FLOPs, parameters) of one bottleneck; batch norm's parameters go with the layer before it."""
    return tuple(_block_parts(channels_in, channels, operator, stride, size))


def _block_parts(
    channels_in: int, channels: int, operator: Operator, stride: int, size: int
) -> Iterator[tuple[str, int, int]]:
    pixels_in, pixels_out = size**2, (-(-size // stride)) ** 2
    channels_out = channels * EXPANSION
    reduce = channels_in * channels
    expand = channels * channels_out
    yield "conv1x1", 2 * (reduce * pixels_in + expand * pixels_out), reduce + 2 * channels + expand + 2 * channels_out
    if stride > 1 or channels_in != channels_out:
        shortcut = channels_in * channels_out
        yield "conv1x1", 2 * shortcut * pixels_out, shortcut + 2 * channels_out
    *products, (part, flops, params) = operator_cost(channels, channels, operator, pixels_in, pixels_out)
    yield from products
    yield part, flops, params + 2 * channels


def operator_cost(
    channels_in: int, channels_out: int, operator: Operator, pixels_in: int, pixels_out: int
) -> Iterator[tuple[str, int, int]]:
    """(part, FLOPs, parameters) of an operator alone: attention runs over the pixels that come in."""
    if not isinstance(operator, Attention):
        weights = 9 * channels_in * channels_out
        yield "conv3x3", 2 * weights * pixels_out, weights
        return
    relative = operator.positional_encoding.startswith("relative")
    content = operator.positional_encoding != "relative_only"
    projections = (2 + content) * channels_in * channels_out
    yield "qkv", 2 * projections * pixels_in, projections
    products = 1 + content + relative
    neighbours = operator.spatial_extent**2
    embeddings = operator.spatial_extent * channels_out if relative else 0
    yield "attention", products * 2 * neighbours * channels_out * pixels_in, embeddings


@lru_cache(maxsize=256)
def _stem_cost(stem: Stem, channels: int, image_size: int, stride: int, in_channels: int) -> PartCost:
    pixels = image_size**2
    if stem == "convolution":
        extent, reduction = (7, 2) if stride == 4 else (3, stride)
        weights = extent**2 * in_channels * channels
        return PartCost("stem", "stem", 2 * weights * (-(-image_size // reduction)) ** 2, weights + 2 * channels)

    projection = in_channels * channels
    neighbours = STEM_WINDOW**2
    padded_pixels = (-(-image_size // STEM_WINDOW) * STEM_WINDOW) ** 2
    value = {
        "attention": STEM_MIXTURES * projection,
        "attention_stand_alone": projection,
        "attention_convolutional_values": neighbours * projection,
    }[stem]
    flops = 2 * (2 * projection + value) * pixels + 3 * 2 * neighbours * channels * padded_pixels
    params = 2 * projection + value + (2 * STEM_WINDOW - 1) * channels + 2 * channels
    if stem == "attention":
        flops += 2 * STEM_MIXTURES * channels * padded_pixels + 2 * neighbours * channels * STEM_MIXTURES
        params += (2 * STEM_WINDOW + STEM_MIXTURES) * channels
    return PartCost("stem", "stem", flops, params)


def main(arguments: Sequence[str]) -> int:
    """Prints the cost of one architecture. The exit code: 0, or 2 on a user's mistake."""
    parser = ArgumentParser(
        prog=program("search_spaces/cost.py"), description="FLOPs and parameters of an architecture, by part."
    )
    whole = number(int, "a whole number")
    parser.add_argument(
        "architecture",
        type=path,
        metavar="NAME|FILE.json|BUNDLE",
        help="as resnet50-attention, or a description's file, or a bundle",
    )
    size, channels, classes = (f"(default: the bundle's, or else {value})" for value in IMAGENET.values())
    parser.add_argument("--image-size", type=whole, metavar="N", help=f"pixels a side {size}")
    parser.add_argument("--in-channels", type=whole, metavar="N", help=f"colours of the images {channels}")
    parser.add_argument("--classes", type=whole, metavar="N", help=f"outputs of the head {classes}")
    parser.add_argument("--json", action="store_true", help="print JSON")
    from search_spaces.architecture_files import read_described

    try:
        options = parser.parse_args(arguments)
        given = {name: getattr(options, name) for name in IMAGENET if getattr(options, name) is not None}
        for name, value in given.items():
            if value < 1:
                raise UserError(f"--{name.replace('_', '-')} is {value}: expected at least 1.")
        architecture, of_bundle = read_described(options.architecture)
        sizes = {**IMAGENET, **of_bundle, **given}
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return MISTAKE
    found = cost(architecture, **sizes)
    print(json.dumps({**sizes, **found.to_json()}, indent=2) if options.json else _table(found, sizes))
    return SUCCESS


def _table(architecture_cost: Cost, sizes: Mapping[str, int]) -> str:
    rows = [(part.section, part.part, f"{part.flops:,}", f"{part.params:,}") for part in architecture_cost.parts]
    rows = [("section", "part", "FLOPs", "params"), *rows]
    rows.append(("total", "", f"{architecture_cost.flops:,}", f"{architecture_cost.params:,}"))
    lines = [f"{section:8} {part:10} {flops:>16} {params:>12}" for section, part, flops, params in rows]
    taken = f"{counted(sizes['image_size'], 'pixel')} a side, {counted(sizes['in_channels'], 'channel')}, "
    taken += counted(sizes["classes"], "class", "classes")
    return "\n".join([*lines, f"({taken}; {CONVENTION})"])


if __name__ == "__main__":
    sys.exit(run_program(main))
