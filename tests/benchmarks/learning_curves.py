"""Loss and accuracy by epoch of an all-attention ResNet-26 and of its convolutional twin, on digits.

python tests/benchmarks/learning_curves.py [--epochs 9] [--width 0.25]
"""

import argparse

import torch

from search_spaces.architecture import BLOCKS_OF_DEPTH, Architecture, Attention, Convolution, Operator, Stem
from search_spaces.space import BASE_CHANNELS
from trainers.data.config import DATA_DEFAULTS
from trainers.data.datasets import check_data, load_train_validation
from trainers.loop import Training
from trainers.model import seeded_model
from trainers.recipe import Recipe

TWINS: dict[str, tuple[Stem, Operator]] = {
    "convolution": ("convolution", Convolution()),
    "attention": ("attention", Attention(7, 8, "relative")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--width", type=float, default=0.25, help="times 64 channels (default: 0.25)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    recipe = Recipe(arguments.epochs, 32, 0.05, 0.9, 5e-4, 0.0, 0.5, 0.0, "none", "float32")
    data = DATA_DEFAULTS["digits"]
    summary = check_data(data)
    train, validation = load_train_validation(data)
    for name, (stem, operator) in TWINS.items():
        stages = tuple((operator,) * blocks for blocks in BLOCKS_OF_DEPTH[26])
        architecture = Architecture(stem, round(arguments.width * BASE_CHANNELS), stages)
        print(f"{name}: {architecture.label}")
        training = Training(seeded_model(architecture, summary, 0), train, validation, recipe, seed=0, device="cpu")
        for result in training.epochs():
            print(
                f"  epoch {result.epoch}  train loss {result.train_loss:.4f}  validation loss {result.val_loss:.4f}  "
                f"accuracy {result.val_accuracy:.2%}  {result.epoch_seconds:.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
