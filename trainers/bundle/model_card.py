"""The model card of a bundle: what its network is, what it came to, how to use it, and what to be wary of."""

from typing import Any

from search_spaces.architecture import Architecture, Operator
from search_spaces.errors import printable
from search_spaces.units import counted
from trainers.bundle.contents import Bundle
from trainers.bundle.provenance import PaperProvenance, Provenance
from trainers.inference_cost import InferenceCost

ENCODINGS = {
    "none": "no positions",
    "absolute": "absolute positions",
    "relative": "relative positions",
    "relative_only": "relative positions alone",
}

_DIGITS = (
    "Optical Recognition of Handwritten Digits (E. Alpaydin, C. Kaynak; UCI Machine Learning Repository), CC BY 4.0"
)
LICENCES = {
    "digits": f"{_DIGITS}.",
    "cluttered_digits": f"Composed of {_DIGITS}: each at a random place over fragments of others.",
    "cifar10": "CIFAR-10 (A. Krizhevsky, 2009). Its authors name no licence.",
    "cifar100": "CIFAR-100 (A. Krizhevsky, 2009). Its authors name no licence.",
    "image_folder": "Images of whoever ran the search. What their licence says of networks trained on them holds here.",
    "tar_shards": "Images of whoever ran the search. What their licence says of networks trained on them holds here.",
    "imagenet": "ImageNet. Its terms of access allow non-commercial research and education.",
}

WEIGHTS_GONE = "The search had not kept its weights: it is a description, meant to be trained."
NEVER_TRAINED = "It has no weights yet: it is a description, meant to be trained."

FOUND = """A network for classifying images, found by an architecture search for accuracy against cost:
trial {trial} of the search `{search}`, picked from {among} as `{pick}`."""
OF_THE_PAPER = """A network for classifying images: `{model}` of "Stand-Alone Self-Attention in Vision Models"
(arXiv 1906.05909, table 1). No search has found it."""

CHOSEN = (
    "- The validation images chose the architecture, so accuracy on them flatters it; accuracy on the test split does "
    "not.\n"
)

CARD = """# {label}

{origin}
{state}

## Numbers

| | |
|---|---|
{numbers}

## Architecture

A bottleneck ResNet of {depth} layers, {base_channels} channels at its base, whose {stem} stem is followed by four
stages:

{stages}

## Use

{use}
To train it from scratch, by the recipe in `bundle.json`, and evaluate it on the test split:

```
python trainers/train.py this/directory
```

## Limits

{chosen}- It is made for images of {image_size}×{image_size} pixels of one data set. Nothing is known of others.
- Latency and memory hold under the conditions they were measured under, and for no other machine.

## Data

`{data}`: {train_images:,} images to train on, {validation_images:,} to validate, {test_images:,} to test.
{licence}
"""

WITH_WEIGHTS = """\
`weights.safetensors` holds the weights and `bundle.json` all else, both with a checksum. Reading them executes
nothing.

What it makes of pictures, and how it goes on from its weights on images of other classes:

```
python trainers/predict.py this/directory PICTURE.jpg
python trainers/train.py this/directory --init weights data=image_folder data.root=DIR
```

In a program:

```python
from pathlib import Path

import torch

from trainers.bundle.files import read_bundle, read_model

directory = Path("this/directory")
model = read_model(directory)
data = read_bundle(directory).data_summary
images = torch.zeros(1, data.in_channels, data.image_size, data.image_size)
with torch.inference_mode():
    probabilities = model(images).softmax(1)
```
"""

WITHOUT_WEIGHTS = """`bundle.json` holds it all, with a checksum. Reading it executes nothing.
"""

INPUT = """
Images are float32, (batch, {channels}, {size}, {size}). A picture is taken as {colour}; its shorter side is resized to
{resize} pixels, bilinear with antialiasing, and {size}×{size} are cut from its middle. Of values 0 to 1 each channel's
mean {mean} is taken, and they are divided by {std}. The output is one logit a class, {classes} of
them{names}.
"""
# So many names of classes stand in the card. bundle.json has them all.
MOST_CLASSES = 20


def model_card(bundle: Bundle, *, has_weights: bool = True) -> str:
    """The card, in Markdown. It follows from the bundle alone, and from whether its weights are with it."""
    provenance, data = bundle.provenance, bundle.data_summary
    is_found = isinstance(provenance, Provenance)
    return CARD.format(
        label=bundle.architecture.label,
        origin=_origin(provenance),
        chosen=CHOSEN if is_found else "",
        state=_state(bundle) if has_weights else WEIGHTS_GONE if is_found else NEVER_TRAINED,
        numbers="\n".join(f"| {name} | {value} |" for name, value in _numbers(bundle)),
        depth=bundle.architecture.depth,
        base_channels=bundle.architecture.base_channels,
        stem=bundle.architecture.stem.replace("_", " "),
        stages="\n".join(_stages(bundle.architecture)),
        use=(WITH_WEIGHTS if has_weights else WITHOUT_WEIGHTS) + _input(bundle),
        image_size=data.image_size,
        data=data.name,
        train_images=data.train_images,
        validation_images=data.validation_images,
        test_images=data.test_images,
        licence=LICENCES[data.name],
    )


def _origin(provenance: Provenance | PaperProvenance) -> str:
    if isinstance(provenance, PaperProvenance):
        return OF_THE_PAPER.format(model=provenance.paper_model)
    among = "its trials" if provenance.pick.startswith("trial=") else "its front"
    return FOUND.format(trial=provenance.trial, search=provenance.search, among=among, pick=provenance.pick)


def _input(bundle: Bundle) -> str:
    rule, names = bundle.input_rule, bundle.class_names
    listed = "" if names is None else f": {', '.join(f'`{printable(name)}`' for name in names[:MOST_CLASSES])}"
    more = " and others, which `bundle.json` has" if names is not None and len(names) > MOST_CLASSES else ""
    return INPUT.format(
        channels=rule.channels,
        size=rule.size,
        colour="RGB" if rule.channels == 3 else "grey (ITU-R 601 luma)",
        resize=rule.resize_shorter_side,
        mean=_channels(rule.mean),
        std=_channels(rule.std),
        classes=bundle.data_summary.classes,
        names=listed + more,
    )


def _state(bundle: Bundle) -> str:
    provenance = bundle.provenance
    if provenance.full_training is not None and "initial_weights" in provenance.full_training:
        return "The weights are those of a training that began with the weights of another bundle."
    if provenance.full_training is not None:
        return "The weights are those of its full training."
    assert isinstance(provenance, Provenance), "weights that nobody has trained"
    return (
        f"The weights are those of the search: {provenance.epochs} of {provenance.search_epochs} epochs, on the "
        "training split alone. "
        "It is meant to be trained fully."
    )


def _numbers(bundle: Bundle) -> list[tuple[str, str]]:
    provenance = bundle.provenance
    cost = bundle.data_summary.cost(bundle.architecture)
    rows = [
        ("FLOPs of one image, 2 a multiply-add", f"{cost.flops:,}"),
        ("parameters", f"{cost.params:,}"),
    ]
    if isinstance(provenance, Provenance):
        after = f"after {counted(provenance.epochs, 'epoch')}"
        if provenance.epochs < provenance.search_epochs:
            after += f" of {provenance.search_epochs}, where it was stopped"
        if other := provenance.other_data(bundle.data_summary):
            after += f", on {other.name} with {other.classes} classes"
        rows.append((f"validation accuracy in the search, {after}", f"{provenance.val_accuracy:.2%}"))
    if provenance.full_training is not None:
        rows += _full_training_numbers(provenance.full_training)
    code = ("code", f"{provenance.code_revision}, torch {provenance.torch_version}")
    if isinstance(provenance, PaperProvenance):
        return [*rows, code]
    if provenance.inference is not None and provenance.measured_on_such_images(bundle.data_summary):
        inference = InferenceCost.from_json(provenance.inference)
        spread = f"{inference.latency_low_ms:.3g} to {inference.latency_high_ms:.3g} ms"
        rows += [
            ("latency", f"{inference.latency_ms:.3g} ms ({spread})"),
            ("peak memory", f"{inference.peak_memory_mb:.3g} MB"),
            ("measured", inference.conditions),
        ]
    return [
        *rows,
        ("search", f"{provenance.search_id}, seed {provenance.search_seed}"),
        ("trial", f"{provenance.trial}, seed {provenance.seed}"),
        code,
    ]


def _full_training_numbers(result: dict[str, Any]) -> list[tuple[str, str]]:
    test = "no test split" if result["test_accuracy"] is None else f"{result['test_accuracy']:.2%}"
    longer = "".join(f", of {each['from_epochs']} at first" for each in result.get("lengthened", ())[:1])
    return [
        (f"test accuracy after the full training of {counted(result['epochs'], 'epoch')}{longer}", test),
        ("validation accuracy after the full training", f"{result['val_accuracy']:.2%}"),
        *_measured_numbers(result),
    ]


def _measured_numbers(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Results of earlier code have none of them, nor one without the option has robustness."""
    measured, robustness = result.get("measured"), result.get("robustness")
    rows = []
    if measured is not None:
        on = f"on the {measured['images']:,} {measured['split']} images"
        if measured["top5_accuracy"] is not None:
            rows.append((f"top-5 accuracy {on}", f"{measured['top5_accuracy']:.2%}"))
        rows += [
            (f"cross-entropy {on}", f"{measured['loss']:.4f}"),
            (f"expected calibration error {on}, 15 bins", f"{measured['calibration_error']:.2%}"),
            (
                f"accuracy of the classes known worst {on}",
                ", ".join(f"`{printable(each['class'])}` {each['accuracy']:.2%}" for each in result["hardest_classes"]),
            ),
        ]
    if robustness is not None:
        parts = [
            f"{name.replace('_', ' ')} {sum(row) / len(row):.2%}" for name, row in robustness["corruptions"].items()
        ]
        rows += [
            ("accuracy under corruptions (arXiv 1903.12261, written anew), mean", f"{robustness['accuracy']:.2%}"),
            ("each, mean of five severities", ", ".join(parts)),
        ]
    return rows


def _stages(architecture: Architecture) -> list[str]:
    return [
        f"{index}. {architecture.stage_channels(index - 1)} channels: {', '.join(_blocks(blocks))}"
        for index, blocks in enumerate(architecture.stages, start=1)
    ]


def _blocks(blocks: tuple[Operator, ...]) -> list[str]:
    """Blocks in a row that are alike, together."""
    runs: list[tuple[Operator, int]] = []
    for block in blocks:
        if runs and runs[-1][0] == block:
            runs[-1] = (block, runs[-1][1] + 1)
        else:
            runs.append((block, 1))
    return [f"{count} × {_operator(block)}" for block, count in runs]


def _operator(operator: Operator) -> str:
    fields = operator.to_json()
    if fields["operator"] == "convolution":
        return "3×3 convolution"
    extent, heads = fields["spatial_extent"], fields["heads"]
    noun = "head" if heads == 1 else "heads"
    return f"{extent}×{extent} attention of {heads} {noun}, {ENCODINGS[fields['positional_encoding']]}"


def _channels(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
