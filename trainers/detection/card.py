"""The card of a trained detector: what it is, what it came to, how to use it, and what to be wary of. Pure."""

from collections.abc import Mapping
from typing import Any

from search_spaces.errors import printable
from trainers.detection.design import DetectorDesign

# So many names of classes stand in the card. detector.json has them all.
MOST_CLASSES = 20

CARD = """# {model} on {label}

A detector: torchvision's {model} on a bottleneck ResNet of {depth} layers as its backbone, with a pyramid of {pyramid}
and a head of {head}. It finds objects of {count} classes: {classes}.

## Numbers

| | |
|---|---|
{numbers}

They are COCO's, by pycocotools, on the {validation:,} validation images; it was trained on {train:,}.

## Use

`weights.safetensors` holds the weights and `detector.json` all else. Reading them executes nothing.

```
python trainers/predict.py this/directory PICTURE.jpg
```

In a program:

```python
from pathlib import Path

from trainers.detection.prediction import detect

for found in detect(Path("this/directory"), ["PICTURE.jpg"]):
    print([(each.name, each.score, each.box) for each in found.objects])
```

## Limits

- It sees squares of {image_size} pixels, into which a picture is fitted whole: what is smaller than a few pixels there
  is not found.
- Scores are no probabilities: they rank what was found.
- The last epoch is kept, whatever the validation images say, so they have chosen nothing but the settings.
- What the licence of the images says of networks trained on them holds here.
"""


def detector_card(design: DetectorDesign, result: Mapping[str, Any]) -> str:
    """The card, in Markdown."""
    architecture, names = design.architecture, design.classes
    listed = ", ".join(f"`{printable(name)}`" for name in names[:MOST_CLASSES])
    scores = [
        (name, "none of this size" if value is None else f"{value:.4f}") for name, value in result["scores"].items()
    ]
    longer = "".join(f", of {each['from_epochs']} at first" for each in result.get("lengthened", ())[:1])
    numbers = [*scores, ("epochs", f"{result['epochs']}{longer}"), ("parameters", f"{result['params']:,}")]
    return CARD.format(
        model=design.model,
        label=architecture.label,
        depth=architecture.depth,
        pyramid=design.pyramid,
        head=design.head,
        count=len(names),
        classes=listed + (" and others" if len(names) > MOST_CLASSES else ""),
        numbers="\n".join(f"| {name} | {value} |" for name, value in numbers),
        validation=result["images"]["validation"],
        train=result["images"]["train"],
        image_size=design.image_size,
    )
