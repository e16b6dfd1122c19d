"""Folders in COCO's format as people have them: read, or refused by name."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search_spaces.errors import UserError
from tests.support.coco_folders import coco_folder, draw_image, instances, write_json
from trainers.detection.coco_data import CocoConfig, CocoData, examine_coco

Document = dict[str, Any]


def examined(root: Path, **changes: Any) -> CocoData:
    return examine_coco(CocoConfig(str(root), **changes))


def published(root: Path, change: Callable[[Document], object] = lambda document: None) -> Path:
    """A folder as COCO is published, its training annotations changed."""
    document = instances(root / "train2017", 4)
    change(document)
    write_json(root / "annotations" / "instances_train2017.json", document)
    write_json(root / "annotations" / "instances_val2017.json", instances(root / "val2017", 3, 50))
    return root


def test_a_folder_as_coco_is_published(tmp_path: Path) -> None:
    data = examined(coco_folder(tmp_path, train=4, validation=3))
    assert (len(data.train), len(data.validation), data.notes) == (4, 3, ())
    # In the order of their ids, which are not contiguous.
    assert (data.category_ids, data.classes) == ((3, 17), ("square", "disc"))
    first = data.train[0]
    assert Path(first.file) == tmp_path / "train2017" / "000.png" and first.annotated.labels == (0,)
    left, top, right, bottom = first.annotated.boxes[0]
    assert [left, top, right - left, bottom - top] == draw_image(tmp_path / "again.png", 0)["bbox"]
    assert {each["image_id"] for each in data.truth} == {100, 101, 102}


def test_a_folder_as_tools_export_it(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        write_json(tmp_path / split / "_annotations.coco.json", instances(tmp_path / split, 3))
    data = examined(tmp_path)
    assert (len(data.train), len(data.validation)) == (3, 3)


def test_of_one_file_a_part_is_held_out(tmp_path: Path) -> None:
    write_json(tmp_path / "instances.json", instances(tmp_path / "images", 10))
    data, other = examined(tmp_path, validation_fraction=0.3), examined(tmp_path, validation_fraction=0.3, split_seed=1)
    assert (len(data.train), len(data.validation)) == (7, 3)
    assert {image.file for image in data.train}.isdisjoint(image.file for image in data.validation)
    assert {each["image_id"] for each in data.truth} == {image.annotated.id for image in data.validation}
    assert data.validation != other.validation and data == examined(tmp_path, validation_fraction=0.3)
    assert data.notes == ("no validation images of their own: 3 of 10 held out",)


def test_boxes_that_reach_out_of_their_images_are_said(tmp_path: Path) -> None:
    def change(document: Document) -> None:
        first, second, third, fourth = document["annotations"]
        # By less than a pixel, as rounded edges do; by more, on each side; and by corners.
        first["bbox"] = [-1.0, 10, 66, 20]
        second["bbox"] = [40, 10, 25.5, 20]
        third["bbox"] = [-20, 10, 40, 20]
        fourth["bbox"] = [30, 40, 60, 60]

    data = examined(published(tmp_path, change))
    end = "COCO's are left, top, width and height"
    (note,) = data.notes
    assert note == (
        f"instances_train2017.json: 3 boxes reach out of the image, beyond which nothing counts (annotation 2): {end}"
    )
    assert data.train[2].annotated.boxes == ((0.0, 10.0, 20.0, 30.0),)

    def by_corners(document: Document) -> None:
        for each in document["annotations"]:
            each["bbox"] = [30, 40, 60, 60]

    data = examined(published(tmp_path / "corners", by_corners))
    assert data.notes[0].endswith(f"{end}, and these look like left, top, right and bottom")


def test_validation_images_that_are_trained_on_are_said(tmp_path: Path) -> None:
    root = coco_folder(tmp_path, 4, 3)
    assert examined(root).notes == ()
    # Under another name, as copies are.
    for validation, training in ((1, 3), (2, 0)):
        copy = root / "val2017" / f"{validation:03d}.png"
        copy.write_bytes((root / "train2017" / f"{training:03d}.png").read_bytes())
    assert examined(root).notes == (
        "2 validation images have the contents of one that is trained on, so that what is measured comes out too high "
        "(001.png)",
    )


def test_what_is_not_trained_on_is_counted_and_evaluated(tmp_path: Path) -> None:
    def change(document: Document) -> None:
        first, second, third, _ = document["annotations"]
        first["iscrowd"] = 1
        # Without a width, and outside of the image.
        second["bbox"][2] = 0
        third["bbox"] = [64, 10, 20, 20]
        # Of an image that nobody has.
        document["annotations"].append({**third, "id": 0, "image_id": 5})

    root = published(tmp_path, change)
    data = examined(root)
    assert [image.annotated.id for image in data.train] == [103]
    name = "instances_train2017.json"
    assert data.notes == (
        f"{name}: 1 annotation of no image not trained on",
        f"{name}: 1 crowd not trained on",
        f"{name}: 2 degenerate boxes not trained on",
        "3 images without boxes not trained on",
    )
    # The same as validation images.
    for one, other in (("train", "x"), ("val", "train"), ("x", "val")):
        (root / f"{one}2017").rename(root / f"{other}2017")
        (root / "annotations" / f"instances_{one}2017.json").rename(
            root / "annotations" / f"instances_{other}2017.json"
        )
    data = examined(root)
    assert [image.annotated.id for image in data.validation] == [100, 101, 102, 103]
    assert [(each["id"], each["iscrowd"], each["bbox"][2] > 0) for each in data.truth] == [
        (1, 1, True), (2, 0, False), (3, 0, True), (4, 0, True),
    ]  # fmt: skip


def test_a_box_that_leaves_its_image_ends_there_and_what_is_not_said_follows(tmp_path: Path) -> None:
    def change(document: Document) -> None:
        annotation = document["annotations"][0]
        annotation["bbox"] = [-4, 50.5, 20, 30]
        del annotation["area"], annotation["iscrowd"]

    assert examined(published(tmp_path, change)).train[0].annotated.boxes == ((0.0, 50.5, 16.0, 64.0),)


@pytest.mark.parametrize(
    ("orientation", "said", "turned", "note"),
    [
        (1, (64, 48), False, None),
        (6, (48, 64), True, "1 image turned as EXIF says, as the annotations are"),
        (6, (64, 48), False, None),
        (3, (64, 48), False, "1 image with an EXIF orientation taken as stored: sizes do not tell"),
    ],
)
def test_an_image_is_turned_where_its_annotations_are(
    tmp_path: Path, orientation: int, said: tuple[int, int], turned: bool, note: str | None
) -> None:
    def change(document: Document) -> None:
        draw_image(tmp_path / "train2017" / "000.png", 0, orientation, (64, 48))
        document["images"][0] |= {"width": said[0], "height": said[1]}
        document["annotations"][0]["bbox"] = [10, 10, 20, 20]

    data = examined(published(tmp_path, change))
    assert data.train[0].turned is turned
    assert data.notes == ((f"instances_train2017.json: {note}",) if note else ())


def entry(section: str, **values: object) -> Callable[[Document], object]:
    return lambda document: document[section][1].update(copy.deepcopy(values))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (entry("images", file_name="gone.jpg"), r"1 of the 4 images of .*train2017.json' are not in .*: 'gone.jpg'\."),
        (entry("images", width=65), r"001.png' is 64 × 64 pixels, and its annotations are for 65 × 64"),
        (entry("images", width=None), "image 101 has the width None: expected a whole number"),
        (entry("images", height=0), "image 101 is 64 × 0 pixels"),
        (entry("images", file_name=7), "image 101 has the file_name 7"),
        (entry("images", id=100), "image 100 is there twice"),
        (entry("annotations", id=1), "annotation 1 is there twice"),
        (entry("annotations", category_id=4), "annotation 2 is of category 4, which the file does not list"),
        (entry("annotations", bbox=[1, 2, 3]), r"annotation 2 has the bbox \[1, 2, 3\]"),
        (entry("annotations", bbox=[1, 2, 3, float("nan")]), r"annotation 2 has the bbox \[1, 2, 3, nan\]"),
        (entry("annotations", area="large"), "annotation 2 has the area 'large'"),
        (entry("categories", name="box"), "category 3 is 'square' in .*val2017.json', and .* calls it 'box'"),
        (lambda document: document["categories"].clear(), "has no categories"),
        (lambda document: document["images"].clear(), "has no images"),
        (lambda document: document["annotations"].clear(), "has no box to train on"),
        (
            lambda document: [each.update(iscrowd=1) for each in document["annotations"]],
            "has no box to train on: .* crowds not trained on",
        ),
        (lambda document: document.pop("images"), "is not in COCO's format: expected a list of images"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    tmp_path: Path, change: Callable[[Document], object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        examined(published(tmp_path, change))


def test_folders_that_hold_nothing_of_it_or_too_much(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data.root is missing"):
        examine_coco(CocoConfig())
    with pytest.raises(UserError, match=r"expected a directory"):
        examined(tmp_path / "none")
    with pytest.raises(UserError, match=r"no annotations in .*: expected annotations/instances_train"):
        examined(tmp_path)
    root = published(tmp_path)
    (root / "annotations" / "instances_val2014.json").write_text("{}")
    with pytest.raises(UserError, match=r"holds instances_val2014.json, instances_val2017.json: expected one"):
        examined(root)
    for path in (root / "annotations").glob("instances_val*"):
        path.unlink()
    with pytest.raises(UserError, match=r"has 'instances_train2017.json' and no annotations/instances_val"):
        examined(root)
    (root / "annotations" / "instances_val2017.json").write_text("{}")
    (root / "instances.json").write_text("{}")
    with pytest.raises(UserError, match=r"can be read in two ways, by 'annotations/instances_train2017.json' and"):
        examined(root)
    (root / "instances.json").unlink()
    (root / "annotations" / "instances_val2017.json").write_text("{")
    with pytest.raises(UserError, match=r"val2017.json' is no JSON"):
        examined(root)
