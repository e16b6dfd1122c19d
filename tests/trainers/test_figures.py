"""The pictures of a full training, by their pixels."""

import io
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trainers import figures
from trainers.epoch_result import EpochResult
from trainers.figures import NetworkPoint, comparison_png, confusion_png, curves_png, not_drawn
from trainers.full.outcome_files import write_outcome
from trainers.measurement import Measurement


def opened(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


@pytest.mark.parametrize("count", [3, 60, 1000])
def test_a_class_that_is_always_taken_for_another_is_seen_among_any_number(count: int) -> None:
    confusion = np.diag([50] * count)
    other = confusion.copy()
    other[1, 1], other[1, count - 1] = 0, 50
    names = [f"class $ {index}" for index in range(count)]
    differing = np.abs(opened(confusion_png(confusion, names, "t")) - opened(confusion_png(other, names, "t"))).sum(2)
    # Of a dot of at least three pixels a side, above the diagonal at the right.
    rows, columns = np.nonzero(differing > 200)
    assert len(rows) >= 9
    right = columns > 0.6 * differing.shape[1]
    assert right.sum() >= 9 and rows[right].max() < 0.6 * differing.shape[0]


def test_curves_of_one_epoch_are_drawn_too() -> None:
    picture = opened(curves_png([EpochResult(1, 2.0, 2.1, 0.3, 0.1, 1.0)], "one"))
    assert picture.shape[1] > 1000 and (picture != 255).any(2).sum() > 3000


# Matplotlib's own font has not the second, and one that comes with it has; nobody draws the third.
NAMES = ("Bär", "\u2316", "日本")


@pytest.mark.filterwarnings("error")
def test_names_that_no_font_has_the_letters_of_are_drawn_as_question_marks(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def pictures() -> list[np.ndarray]:
        networks = [NetworkPoint(name, "hybrid", 10**6, 0.5, 0.1, None, ()) for name in NAMES]
        return list(map(opened, (confusion_png(np.eye(3), NAMES, "t"), comparison_png(networks, "test"))))

    monkeypatch.setattr(figures, "FONTS", ("DejaVu Sans", "No Such Font"))
    without = pictures()
    assert not_drawn(NAMES) == list(NAMES[1:]) and not_drawn([*NAMES, *map(str, range(40))]) == []
    monkeypatch.setattr(figures, "FONTS", ("DejaVu Sans", "STIXGeneral"))
    assert not_drawn(NAMES[:2]) == []
    assert all((one != other).any() for one, other in zip(without, pictures(), strict=True))
    assert caplog.messages == []


@pytest.mark.filterwarnings("error")
def test_classes_whose_names_are_not_drawn_are_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(figures, "FONTS", ("DejaVu Sans", "STIXGeneral"))
    measurement = Measurement(torch.eye(3, dtype=torch.int64), torch.zeros(15, 3), 3, 0.5)
    with caplog.at_level(logging.WARNING):
        write_outcome(tmp_path, measurement, NAMES, [EpochResult(1, 2.0, 2.1, 0.3, 0.1, 1.0)], "one")
    assert caplog.messages == [
        f"no font that is installed has all letters of the names of 1 class ({NAMES[2]}): ? stands for them in "
        "confusion.png, and the names stand whole in classes.csv"
    ]
    assert NAMES[2] in (tmp_path / "classes.csv").read_text(encoding="utf-8")
