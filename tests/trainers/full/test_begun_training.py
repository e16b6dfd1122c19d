"""What an output directory says of the training that was begun there."""

import json
from pathlib import Path
from typing import Any

import pytest

from search_spaces.errors import UserError
from trainers.full.begun_training import begun_settings, check_as_read

SETTINGS: dict[str, Any] = {"format": "training/1", "recipe": {"epochs": 3}, "data": {"root": None}}


@pytest.mark.parametrize("names", [(), ("lock",), ("lock", ".settings.json.partial", "data.index", ".data.index.1")])
def test_before_its_settings_are_written_there_is_no_training(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert begun_settings(tmp_path, ("training/1",), "training") is None
    assert begun_settings(tmp_path / "none", ("training/1",), "training") is None


def test_its_settings_are_those_that_were_written(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(json.dumps(SETTINGS))
    assert begun_settings(tmp_path, ("training/0", "training/1"), "training") == SETTINGS


def test_what_was_read_must_still_be_there_or_be_what_is_wanted() -> None:
    out, longer = Path("out"), SETTINGS | {"recipe": {"epochs": 4}}
    check_as_read(out, None, None, longer)
    check_as_read(out, SETTINGS, SETTINGS, longer)
    # JSON has lists alone.
    check_as_read(out, None, SETTINGS | {"classes": ["a"]}, SETTINGS | {"classes": ("a",)})
    for before, now in ((None, SETTINGS), (SETTINGS, longer | {"lengthened": []}), (SETTINGS, None)):
        with pytest.raises(UserError, match="another process was training in 'out' until now"):
            check_as_read(out, before, now, longer)


@pytest.mark.parametrize("content", [None, b"", b'{"format"', b"[]"])
def test_settings_that_are_lost_are_named_where_a_training_is(tmp_path: Path, content: bytes | None) -> None:
    (tmp_path / "history.csv").touch()
    if content is not None:
        (tmp_path / "settings.json").write_bytes(content)
    with pytest.raises(UserError, match="holds no training of ours"):
        begun_settings(tmp_path, ("training/1",), "training of ours")
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UserError, match=r"/settings\.json', which says what is trained there, is missing or damaged"):
        begun_settings(tmp_path, ("training/1",), "training of ours")


@pytest.mark.parametrize(
    "changes",
    [{"format": "training/9"}, {"recipe": None}, {"recipe": {"epochs": "3"}}, {"data": None}, {"data": []}],
)
def test_anything_else_is_named(tmp_path: Path, changes: dict[str, Any]) -> None:
    (tmp_path / "settings.json").write_text(json.dumps(SETTINGS | changes))
    with pytest.raises(UserError, match=r"exists and holds no training of ours: name another directory with --out"):
        begun_settings(tmp_path, ("training/1",), "training of ours")
