"""How long the cost of 10,000 random architectures takes, against counting them with torch on built models.

python tests/benchmarks/cost.py
"""

import random
import time
from pathlib import Path

import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

from search_spaces import cost as cost_module
from search_spaces.cost import cost
from search_spaces.resnet import build
from search_spaces.space_reading import space_from_mapping

ARCHITECTURES = 10_000
COUNTED = 20


def main() -> None:
    torch.set_num_threads(1)
    for name in ("resnet_stages", "resnet_blocks"):
        path = Path(cost_module.__file__).with_name(f"{name}.yaml")
        space = space_from_mapping(name, yaml.safe_load(path.read_text(encoding="utf-8")))
        rng = random.Random(0)
        architectures = [space.sample(rng) for _ in range(ARCHITECTURES)]
        start = time.perf_counter()
        for architecture in architectures:
            cost(architecture, image_size=224)
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        for architecture in architectures[:COUNTED]:
            with torch.device("meta"), FlopCounterMode(display=False):
                build(architecture, image_size=224)(torch.empty(1, 3, 224, 224))
        ratio = (time.perf_counter() - start) / COUNTED / (seconds / ARCHITECTURES)
        print(f"{name}: {ARCHITECTURES:,} costs in {seconds:.2f} s, {ratio:,.0f}× faster than counting built models")


if __name__ == "__main__":
    main()
