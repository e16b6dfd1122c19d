"""The loops that a full training is measured beside train on the same images, in the same number, by the same loss."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from tests.benchmarks.training_loops import LOOPS, Task, _crop_box, timm_smoothed_loss
from trainers.data.config import DATA_DEFAULTS, DataConfig
from trainers.data.normalisation import FOLDER_MEAN, FOLDER_STD

COLOUR = (200, 40, 90)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """66 pictures of one colour, of which every crop is the same."""
    root = tmp_path_factory.mktemp("one-colour")
    for split, count in (("train", 66), ("val", 8)):
        for number in range(count):
            # No loop may hand out what is over after two batches of 32.
            file = root / split / f"class{number % 6}" / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 36), COLOUR).save(file)
    return root


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_trains_on_whole_batches_of_images_that_are_normalised_alike(name: str, folder: Path) -> None:
    values: dict[str, Any] = DATA_DEFAULTS["image_folder"].to_json() | {"root": str(folder), "image_size": 32}
    task = Task("resnet26", 1 / 16, "float32", 1, DataConfig(**values | {"loader_workers": 0}), ema_decay=0.9)
    seen = []

    def look(module: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        if isinstance(module, nn.Conv2d) and module.in_channels == 3 and module.training:
            seen.append(arguments[0].detach().clone())

    hook = register_module_forward_pre_hook(look)
    try:
        epoch = LOOPS[name](task)
        found = [epoch(), epoch()]
    finally:
        hook.remove()
    expected_C = (np.array(COLOUR) / 255 - np.array(FOLDER_MEAN)) / np.array(FOLDER_STD)
    expected_CHW = torch.tensor(expected_C, dtype=torch.float32).view(3, 1, 1).expand(3, 32, 32)
    assert [images_BCHW.shape for images_BCHW in seen] == [(32, 3, 32, 32)] * 4
    for images_BCHW in seen:
        torch.testing.assert_close(images_BCHW, expected_CHW.expand(32, 3, 32, 32))
    assert [each.images for each in found] == [64, 64] and all(each.waited_seconds > 0 for each in found)


def test_timms_loss_is_that_of_torch() -> None:
    torch.manual_seed(0)
    logits_BK, labels_B = 3 * torch.randn(8, 5), torch.randint(5, (8,))
    expected = nn.CrossEntropyLoss(label_smoothing=0.1)(logits_BK, labels_B)
    torch.testing.assert_close(timm_smoothed_loss(logits_BK, labels_B, 0.1), expected)


def test_timms_crops_lie_in_the_picture_with_the_areas_and_the_shapes_of_theirs() -> None:
    random.seed(0)
    boxes = [_crop_box(300, 200) for _ in range(500)]
    assert all(0 <= left <= 300 - width and 0 <= top <= 200 - height for left, top, width, height in boxes)
    areas = [width * height / 60_000 for _, _, width, height in boxes]
    ratios = [width / height for _, _, width, height in boxes]
    # Rounded to pixels.
    assert 0.07 < min(areas) < 0.15 and 0.75 < max(areas) <= 1.01
    assert 3 / 4 - 0.02 < min(ratios) < 0.8 and 1.25 < max(ratios) < 4 / 3 + 0.02
    # Nothing of such a shape fits into a strip, of which it takes the middle.
    assert _crop_box(1000, 12) == (492, 0, 16, 12)
