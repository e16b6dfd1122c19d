"""A small search, followed as it goes; its front as a picture, and the architecture at its knee as a bundle.

python examples/search_and_export.py NAME [SETTING=VALUE ...]
"""

import sys

import vision_architecture_search as vas

# A minute or two on a laptop.
SETTINGS = {"data": "digits", "search.trials": 4, "training.epochs": 4, "space.depth": [14], "space.width": [0.125]}


def main(name: str, settings: dict[str, str]) -> None:
    search = vas.start_search("resnet_stages", {**SETTINGS, **settings}, name=name, progress=print)
    print(search.front()[["label", "val_accuracy", "flops"]].to_string())
    search.draw_front().savefig(f"{name}.png")
    bundle = search.export("knee", f"bundles/{name}")
    print(f"{name}.png, {bundle.directory}")


if __name__ == "__main__":
    try:
        main(sys.argv[1], dict(word.partition("=")[::2] for word in sys.argv[2:]))
    except (vas.UserError, vas.SearchFailed) as error:
        sys.exit(f"error: {error}")
