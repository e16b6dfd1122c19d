"""Where an image and its boxes come to lie in their square, against the pixels themselves."""

from pathlib import Path

import numpy as np
import pytest
import torch

from search_spaces.errors import UserError
from tests.support.coco_folders import draw_image, instances, write_json
from trainers.data.augmentation import Augmentation
from trainers.detection.coco_data import CocoConfig, examine_coco
from trainers.detection.coco_images import CocoImages

CPU = torch.device("cpu")


def images_of(root: Path, size: int, channels: int = 3) -> CocoImages:
    data = examine_coco(CocoConfig(str(root)))
    ones = (1.0,) * channels
    return CocoImages(
        (*data.train, *data.validation), image_size=size, mean=(0.5,) * channels, std=ones, first_label=1, workers=0
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Squares alone, some of them on images that lie or stand, one of which is turned."""
    root = tmp_path_factory.mktemp("coco")
    document = instances(root / "images", 0)
    for number, (size, orientation) in enumerate([((64, 64), 1), ((96, 64), 1), ((64, 96), 1), ((96, 64), 6)] * 2):
        found = draw_image(root / "images" / f"{number}.png", 2 * number, orientation, size)
        width, height = size
        if orientation == 6:
            left, top, side, _ = found["bbox"]
            found["bbox"], (width, height) = [height - top - side, left, side, side], (height, width)
        document["images"].append({"id": number, "file_name": f"{number}.png", "width": width, "height": height})
        document["annotations"].append({"id": number + 1, "image_id": number, **found})
    write_json(root / "instances.json", document)
    return root


@pytest.mark.parametrize(
    "augmentation", [None, Augmentation("none", 3, 1), *(Augmentation("flip_crop", 3, epoch) for epoch in range(1, 5))]
)
def test_boxes_lie_around_what_they_are_of(root: Path, augmentation: Augmentation | None) -> None:
    images = images_of(root, 128)
    [(square_BCHW, targets)] = images.batches([torch.arange(len(images))], CPU, augmentation)
    assert square_BCHW.shape == (8, 3, 128, 128) and len(targets) == 8
    for square_CHW, boxes_N4, labels_N in zip(square_BCHW, targets.boxes, targets.labels, strict=True):
        assert labels_N.tolist() == [1]
        # What is red; resizing blurs an edge over two pixels.
        row, column = np.nonzero((square_CHW[0] - square_CHW[2] > 0.37).numpy())
        seen = torch.tensor([column.min(), row.min(), column.max() + 1, row.max() + 1])
        torch.testing.assert_close(boxes_N4[0], seen.float(), atol=2, rtol=0)


def test_training_images_differ_by_epoch_and_not_by_batch(root: Path) -> None:
    images = images_of(root, 64)
    [(first, _)] = images.batches([torch.arange(4)], CPU, Augmentation("flip_crop", 3, 1))
    [(again, _)] = images.batches([torch.arange(2, 4)], CPU, Augmentation("flip_crop", 3, 1))
    [(later, _)] = images.batches([torch.arange(4)], CPU, Augmentation("flip_crop", 3, 2))
    assert torch.equal(first[2:], again) and not torch.equal(first, later)


def test_grey_networks_have_grey_images(root: Path) -> None:
    [(images, _)] = images_of(root, 32, channels=1).batches([torch.arange(2)], CPU)
    assert images.shape == (2, 1, 32, 32)


def test_an_image_that_is_damaged_later_is_named(tmp_path: Path) -> None:
    write_json(tmp_path / "instances.json", instances(tmp_path / "images", 4))
    images = images_of(tmp_path, 32)
    (tmp_path / "images" / "001.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"001.png' cannot be read"):
        list(images.batches([torch.arange(4)], CPU))
