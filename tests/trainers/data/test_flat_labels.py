"""ImageNet's validation images in one folder, with the usual files of their labels."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from search_spaces.errors import UserError
from tests.support.images import make_images
from tests.support.present import present
from trainers.data.config import DataConfig, KnownFiles
from trainers.data.datasets import examine_data, load_test
from trainers.data.file_index import keep_index

CLASSES = ("n01440764", "n01443537", "n02119789")
# The class of each of nine validation images, in the order of their numbers, none of it sorted.
ORDER = (2, 0, 1, 1, 2, 0, 0, 1, 2)
NAMES = [f"ILSVRC2012_val_{number:08d}" for number in range(1, 10)]
# ILSVRC numbers its classes otherwise than their names are sorted.
NUMBERS = {"n02119789": 1, "n01443537": 2, "n01440764": 3}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """train/ in class folders, and val/ whose images lie in it directly."""
    make_images(tmp_path / "root" / "train", CLASSES)
    sources = make_images(tmp_path / "sources", ("all",), count=9) / "all"
    (tmp_path / "root" / "val").mkdir()
    for index, name in enumerate(NAMES):
        shutil.copy(sources / f"{index}.png", tmp_path / "root" / "val" / f"{name}.JPEG")
    return tmp_path / "root"


def config(root: Path) -> DataConfig:
    return DataConfig("imagenet", str(root), image_size=16, validation_fraction=0.25)


def kaggle(root: Path) -> None:
    rows = [
        f"{name},{CLASSES[label]} 1 2 3 4 {CLASSES[label]} 5 6 7 8" for name, label in zip(NAMES, ORDER, strict=True)
    ]
    (root / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *rows[::-1]]) + "\n")


def ilsvrc(root: Path) -> None:
    data = root / "ILSVRC2012_devkit_t12" / "data"
    data.mkdir(parents=True)
    (data / "ILSVRC2012_validation_ground_truth.txt").write_text("".join(f"{NUMBERS[CLASSES[o]]}\n" for o in ORDER))
    (data / "map_clsloc.txt").write_text("".join(f"{name} {number} a_name\n" for name, number in NUMBERS.items()))


def tiny(root: Path) -> None:
    (root / "val").rename(root / "images")
    (root / "val").mkdir()
    (root / "images").rename(root / "val" / "images")
    annotations(root)


def annotations(root: Path) -> None:
    rows = [f"{name}.JPEG\t{CLASSES[label]}\t0\t1\t2\t3\n" for name, label in zip(NAMES, ORDER, strict=True)]
    (root / "val" / "val_annotations.txt").write_text("".join(rows))


def in_all_ways(root: Path) -> None:
    for write in (kaggle, ilsvrc, tiny):
        write(root)


def by_excel(root: Path) -> None:
    in_all_ways(root)
    for file in (*root.rglob("*.csv"), *root.rglob("*.txt")):
        file.write_text(file.read_text(), encoding="utf-8-sig", newline="\r\n")


@pytest.mark.parametrize("write", [kaggle, ilsvrc, tiny, in_all_ways, by_excel])
def test_the_classes_of_a_flat_folder_are_those_of_its_file(root: Path, write: Callable[[Path], None]) -> None:
    write(root)
    found = examine_data(config(root))
    assert found.summary.test_images == 9 and found.findings is not None and found.index is not None
    [test] = [split for split in found.findings.splits if split.name == "test"]
    # Neither the files that have the labels nor the folder of the development kit.
    assert "labelled by " in test.source and found.findings.skipped == ()
    folder = found.index.listing.folders["test"]
    assert {Path(file).stem: label for file, label in zip(folder.files, folder.labels, strict=True)} == dict(
        zip(NAMES, ORDER, strict=True)
    )
    # By the index, too, until the file of labels changes.
    keep_index(root.parent / "index", found.index)
    known = KnownFiles(str(root.parent / "index"), found.fingerprint.digest)
    data = load_test(config(root), known)
    [(images, labels)] = data.batches([torch.arange(9)], torch.device("cpu"))
    assert len(images) == 9 and sorted(labels.tolist()) == sorted(ORDER)
    assert examine_data(config(root), root.parent / "index").summary == found.summary


def test_label_files_that_are_not_read_are_skipped(root: Path) -> None:
    kaggle(root)
    ilsvrc(root)
    next(root.rglob("map_clsloc.txt")).unlink()
    (root / "LOC_sample_submission.csv").touch()
    skipped = present(examine_data(config(root)).findings).skipped
    assert [(noted.what, noted.count, noted.example) for noted in skipped] == [
        (".csv files", 1, "LOC_sample_submission.csv"),
        ("folders that are no split", 1, "ILSVRC2012_devkit_t12"),
    ]
    shutil.rmtree(root / "val")
    shutil.copytree(root / "train", root / "val")
    skipped = present(examine_data(config(root)).findings).skipped
    assert [(noted.what, noted.count) for noted in skipped] == [(".csv files", 2), ("folders that are no split", 1)]


def nothing(root: Path) -> None:
    pass


def without_a_class_list(root: Path) -> None:
    next(root.rglob("map_clsloc.txt")).unlink()


def without_an_image(root: Path) -> None:
    (root / "val" / f"{NAMES[3]}.JPEG").unlink()


def with_another_image(root: Path) -> None:
    (root / "val" / f"{NAMES[3]}.JPEG").rename(root / "val" / "x.JPEG")


def without_a_class(root: Path) -> None:
    shutil.rmtree(root / "train" / CLASSES[0])


def with_other_columns(root: Path) -> None:
    (root / "LOC_val_solution.csv").write_text("a,b\n")


def with_semicolons(root: Path) -> None:
    file = root / "LOC_val_solution.csv"
    file.write_text(file.read_text().replace(",", ";"))


def without_columns(root: Path) -> None:
    file = root / "LOC_val_solution.csv"
    file.write_text("\n" + file.read_text().partition("\n")[2])


def without_a_line(root: Path) -> None:
    (root / "LOC_val_solution.csv").write_text("")


def with_two_classes(root: Path) -> None:
    file = root / "LOC_val_solution.csv"
    file.write_text(file.read_text().replace(f"{CLASSES[0]} 5 6", f"{CLASSES[1]} 5 6"))


def with_classes_alone(root: Path) -> None:
    (root / "LOC_val_solution.csv").write_text(f"ImageId,PredictionString\n\n{NAMES[0]},{CLASSES[0]} {CLASSES[1]}\n")


def with_other_annotations(root: Path) -> None:
    annotations(root)
    file = root / "val" / "val_annotations.txt"
    file.write_text(file.read_text().replace(f"{NAMES[1]}.JPEG\t{CLASSES[0]}", f"{NAMES[1]}.JPEG\t{CLASSES[2]}"))


def with_other_numbers(root: Path) -> None:
    ilsvrc(root)
    next(root.rglob("*_truth.txt")).write_text("1\n1\n")


def with_an_unknown_number(root: Path) -> None:
    next(root.rglob("*_truth.txt")).write_text("7\n")


def with_half_a_line(root: Path) -> None:
    (root / "val" / "val_annotations.txt").write_text("x.JPEG\n")


def without_images(root: Path) -> None:
    for file in (root / "val").iterdir():
        file.unlink()


@pytest.mark.parametrize(
    ("write", "damage", "message"),
    [
        (nothing, nothing, "their classes are not known: expected class folders, or LOC_val_solution.csv"),
        (ilsvrc, without_a_class_list, "but no map_clsloc.txt"),
        (kaggle, without_an_image, "of which 1 are not in"),
        (kaggle, with_another_image, "x.JPEG"),
        (kaggle, without_a_class, "for which there is no folder"),
        (nothing, with_other_columns, "LOC_val_solution.csv' is 'a,b': expected ImageId,PredictionString."),
        (kaggle, with_semicolons, "csv' is 'ImageId;PredictionString': expected ImageId,PredictionString."),
        (kaggle, without_columns, "line 2 of "),
        (kaggle, without_columns, f"csv' is '{NAMES[8]},{CLASSES[2]} 1 2 3 4 {CLASSES[2]} 5 6 7 8': expected ImageId,"),
        (kaggle, without_a_line, "line 1 of "),
        (kaggle, without_a_line, "csv' is '': expected ImageId,PredictionString."),
        (kaggle, with_two_classes, "line 4 of "),
        (kaggle, with_two_classes, f"csv' says {CLASSES[0]!r} and {CLASSES[1]!r} of {NAMES[6]!r}: expected one class."),
        (kaggle, with_classes_alone, "line 3 of "),
        (kaggle, with_classes_alone, f"csv' says {CLASSES[0]!r} and {CLASSES[1]!r} of {NAMES[0]!r}: expected one"),
        (kaggle, with_other_annotations, f"/val/{NAMES[1]}.JPEG' '"),
        (kaggle, with_other_annotations, f"/LOC_val_solution.csv' says {CLASSES[0]!r}, and '"),
        (kaggle, with_other_annotations, f"/val_annotations.txt' {CLASSES[2]!r}: expected the same of both; remove"),
        (kaggle, with_other_numbers, f"ILSVRC2012_validation_ground_truth.txt' {CLASSES[2]!r}: expected the same"),
        (ilsvrc, with_an_unknown_number, "numbers of classes in"),
        (nothing, with_half_a_line, "expected an image or a class"),
        (nothing, without_images, "neither class folders nor images"),
    ],
)
def test_what_does_not_fit_is_said(
    root: Path, write: Callable[[Path], None], damage: Callable[[Path], None], message: str
) -> None:
    write(root)
    damage(root)
    with pytest.raises(UserError, match=r"^data\.root: ") as raised:
        examine_data(config(root))
    assert message in str(raised.value)
