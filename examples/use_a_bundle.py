"""What a bundle says of itself, and what its network takes pictures for. It needs no packages of the search.

python examples/use_a_bundle.py BUNDLE IMAGE...
"""

import sys

import vision_architecture_search as vas


def main(directory: str, images: list[str]) -> None:
    bundle = vas.open_bundle(directory)
    summary = bundle.contents.data_summary
    cost = vas.cost(
        bundle.architecture, image_size=summary.image_size, in_channels=summary.in_channels, classes=summary.classes
    )
    print(f"{bundle.architecture.label}: {cost.flops:,} FLOPs, {cost.params:,} parameters")
    print(f"pictures are made {bundle.preprocessing.size} pixels a side, of {bundle.preprocessing.channels} channels")
    for prediction in bundle.predict(images):
        if prediction.problem is not None:
            print(prediction.problem)
            continue
        best = prediction.guesses[0]
        print(f"{prediction.image}: {best.name} ({best.probability:.1%})")


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2:])
    except vas.UserError as error:
        sys.exit(f"error: {error}")
