"""Predictions as a user sees them: those of the network on the very images that it is evaluated on."""

import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.bundles import provenance
from tests.support.images import all_of, folder_config, in_folders, make_images
from tests.support.tiny_training import RECIPE, TINY
from tests.trainers.pictures.test_opening import png_header
from trainers.bundle.contents import Bundle
from trainers.bundle.files import write_bundle
from trainers.data.datasets import examine_data, load_test
from trainers.model import seeded_model
from trainers.predict import main

Found = tuple[Path, list[str], torch.Tensor]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """A bundle of a network of cats and dogs, the pictures of its test split, and what it makes of them there."""
    directory = tmp_path_factory.mktemp("predict")
    config = folder_config(make_images(directory / "images", count=30, size=(20, 33)))
    data = examine_data(config)
    model = seeded_model(TINY, data.summary, 3).eval()
    images = in_folders(load_test(config))
    with torch.no_grad():
        # The classifier of a fresh network takes everything for the same.
        model.get_parameter("head.weight").mul_(50)
        model.get_parameter("head.bias").sub_(model(all_of(images)[0]).mean(0))
    bundle = Bundle(TINY, RECIPE, config, data.summary, provenance(), data.fingerprint)
    write_bundle(directory / "bundle", bundle.described(), model.state_dict())
    with torch.inference_mode():
        probabilities = model(all_of(images)[0]).softmax(1)
    return directory / "bundle", [file.decode() for file in images.files_I], probabilities


def predictions(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main([*map(str, arguments), "--json"]) == 0
    answer: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return answer


def test_pictures_get_the_probabilities_of_the_evaluation(found: Found, capsys: pytest.CaptureFixture[str]) -> None:
    bundle, images, probabilities = found
    answers = predictions(capsys, bundle, *images)
    assert [answer["image"] for answer in answers] == images
    for answer, expected in zip(answers, probabilities, strict=True):
        by_name = {guess["class"]: guess["probability"] for guess in answer["predictions"]}
        assert by_name == pytest.approx({"cat": expected[0].item(), "dog": expected[1].item()}, abs=1e-5)
        assert answer["class"] == ("cat", "dog")[expected.argmax()] and answer["probability"] == max(by_name.values())
    assert {answer["class"] for answer in answers} == {"cat", "dog"}


def test_text_is_a_line_for_each_picture(found: Found, capsys: pytest.CaptureFixture[str]) -> None:
    bundle, images, _ = found
    [answer] = predictions(capsys, bundle, images[0])
    assert main([str(bundle), images[0]]) == 0
    said = ", ".join(f"{guess['class']} {guess['probability']:.2%}" for guess in answer["predictions"])
    assert capsys.readouterr().out == f"{images[0]}: {said}\n"
    assert main([str(bundle), images[0], "--top", "1"]) == 0
    assert capsys.readouterr().out == f"{images[0]}: {said.partition(',')[0]}\n"


def test_what_cannot_be_read_is_named_and_the_others_are_predicted(
    found: Found, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, images, _ = found
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    arguments = [str(bundle), images[0], str(tmp_path / "broken.png"), images[1]]
    assert main(arguments) == 2
    output, error = capsys.readouterr()
    assert [line.partition(": ")[0] for line in output.splitlines()] == images[:2]
    assert error.startswith("error: image '") and "broken.png' cannot be read" in error and error.count("\n") == 1
    assert main([*arguments, "--json"]) == 2
    output, error = capsys.readouterr()
    assert [list(answer) for answer in json.loads(output)][1] == ["image", "error"] and error.count("\n") == 1


def test_all_that_lies_in_a_directory_may_be_named(
    found: Found, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, images, _ = found
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.png").symlink_to("nothing")
    (tmp_path / "notes.txt").write_text("hello", encoding="utf-8")
    shutil.copy(images[0], tmp_path / "one.png")
    names = [str(path) for path in sorted(tmp_path.iterdir())]
    assert main([str(bundle), *names]) == 2
    output, error = capsys.readouterr()
    assert [line.partition(": ")[0] for line in output.splitlines()] == [str(tmp_path / "one.png")]
    assert [line.partition("' ")[2].partition(":")[0] for line in error.splitlines()] == [
        "cannot be read", "is a directory", "is a link to what is not there",
    ]  # fmt: skip


def test_an_animation_is_said_to_be_one_and_its_first_frame_taken(
    found: Found, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = [Image.fromarray(np.full((20, 20, 3), 80 * number, np.uint8)) for number in range(3)]
    frames[0].save(tmp_path / "still.png")
    names = ["moving.gif", "moving.png", "moving.webp", "pages.tif"]
    for name in names:
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], lossless=True)
    for flags in ([], ["--json"]):
        assert main([str(found[0]), *(str(tmp_path / name) for name in ("still.png", *names)), *flags]) == 0
        output, error = capsys.readouterr()
        assert error.splitlines() == [
            f"warning: image '{tmp_path / name}' has 3 frames or pages: the first is taken." for name in names
        ]
    answers = json.loads(output)
    assert len({json.dumps(answer["predictions"]) for answer in answers}) == 1
    said = [f"warning: {answer['remark']}" for answer in answers if "remark" in answer]
    assert said == error.splitlines()


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "x/" * 2_100 + "x.png"])
def test_a_path_that_is_too_long_is_said_after_the_answers_for_the_others(
    name: str, found: Found, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, images, _ = found
    assert main([str(bundle), name, str(images[0])]) == 2
    output, error = capsys.readouterr()
    assert output.startswith(f"{images[0]}: ") and output.count("\n") == 1
    assert error.startswith("error: ") and error.count("\n") == 1 and "File name too long" in error


def test_a_picture_whose_name_is_no_text_is_named_after_the_answers_for_the_others(
    found: Found, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, images, _ = found
    for name in (b"\xff.png", b"caf\xe9.png"):
        os.link(images[0], os.fsencode(tmp_path) + b"/" + name)
    nameless = [str(tmp_path / os.fsdecode(name)) for name in (b"\xff.png", b"caf\xe9.png")]
    arguments = [str(bundle), nameless[0], images[0], nameless[1], images[1]]
    assert main(arguments) == 2
    output, error = capsys.readouterr()
    assert [line.partition(": ")[0] for line in output.splitlines()] == images[:2]
    assert [line.partition(" cannot be read: ")[2] for line in error.splitlines()] == [
        "its name is no text in UTF-8: rename it."
    ] * 2
    assert f"image '{tmp_path}/\\udcff.png' cannot" in error
    assert main([*arguments, "--json"]) == 2
    answers = json.loads(capsys.readouterr().out)
    assert [list(answer)[1] for answer in answers] == ["class", "class", "error", "error"]
    assert main([str(bundle), nameless[0]]) == 2


def test_what_training_refuses_is_refused_here_too(
    found: Found, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values_HW = np.random.default_rng(0).integers(0, 4_096, (20, 20)).astype(np.uint16)
    Image.fromarray(values_HW).save(tmp_path / "deep.png")
    (tmp_path / "page.jpg").write_bytes(b"<html>not found</html>")
    (tmp_path / "large.png").write_bytes(png_header(20_000, 20_000))
    assert main([str(found[0]), *(str(tmp_path / name) for name in ("deep.png", "page.jpg", "large.png"))]) == 2
    output, error = capsys.readouterr()
    assert output == "" and [line.partition(" cannot be read: ")[2] for line in error.splitlines()] == [
        f"it is of 16 bits and almost black, {values_HW.max():,} at most: expected values up to 65,535; values of 12 "
        "bits have to be multiplied by 16.",
        "it is a web page (HTML), not a picture: download the picture itself.",
        "it has 400,000,000 pixels, more than the 178,956,970 that are read: scale it down, or remove it.",
    ]


def test_classes_that_nobody_knows_have_their_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As in a bundle of earlier code whose images lay in folders."""
    config = folder_config(make_images(tmp_path / "images", count=30))
    data = examine_data(config)
    model = seeded_model(TINY, data.summary, 3)
    write_bundle(tmp_path / "bundle", Bundle(TINY, RECIPE, config, data.summary, provenance()), model.state_dict())
    [answer] = predictions(capsys, tmp_path / "bundle", tmp_path / "images" / "cat" / "0.png")
    assert {guess["class"] for guess in answer["predictions"]} == {"class 0", "class 1"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: BUNDLE, IMAGE"),
        (["{bundle}"], "the following arguments are required: IMAGE"),
        (["{nowhere}", "{image}"], "is no bundle"),
        (["{bundle}", "{nowhere}"], "is not there: expected the file of a picture"),
        (["{image}", "{bundle}"], "' a bundle: the bundle comes first. Did you mean python"),
        (["{bundle}", "{bundle}"], "is a bundle: expected the file of a picture"),
        (["{bundle}", "{image}g"], "is not there: expected the file of a picture. Did you mean '/"),
        (["{bundle}", "{folder}"], "folder' is a directory: expected the file of a picture. Did you mean {folder}/*?"),
        (["{bundle}", "{above}"], "is a directory: expected the file of a picture. Did you mean {above}/*/*?"),
        (["{bundle}", ""], "IMAGE is empty: expected the file of a picture"),
        (["{bundle}", "-"], "image '-': pictures are not read from standard input: expected the file of a picture"),
        (["{bundle}", "https://a.b/c.jpg"], "image 'https://a.b/c.jpg' is an address, and nothing is downloaded"),
        (["{bundle}", "/dev/null"], "image '/dev/null' is no file: expected the file of a picture"),
        (["{bundle}", "{pipe}"], "pipe' is no file: expected the file of a picture"),
        (["{bundle}", "{to_pipe}"], "to_pipe' is no file: expected the file of a picture"),
        (["{bundle}", "/dev/fd/{open_pipe}"], "' is no file: expected the file of a picture"),
        (["{bundle}", "{link}"], "link' is a link to what is not there: expected the file of a picture"),
        (["{bundle}", "{image}\0"], "no path holds a zero byte"),
        (["{lacking}", "{image}"], "lacking' is no bundle: weights.safetensors: No such file"),
        (["{torn}", "{image}"], "torn/weights.safetensors' is damaged: its checksum is not the one in bundle.json"),
        (["{bundle}", "{image}", "--top", "0"], "--top is 0: expected 1 or more"),
        (["{bundle}", "{image}", "--jsn"], "Did you mean '--json'?"),
        (["{weightless}", "{image}"], "holds no weights"),
    ],
)
def test_a_mistake_is_one_line(
    found: Found, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    bundle, images, _ = found
    summary = dataclasses.replace(examine_data(folder_config(bundle.parent / "images")).summary)
    config = folder_config(bundle.parent / "images")
    write_bundle(tmp_path / "weightless", Bundle(TINY, RECIPE, config, summary, provenance()), None)
    (tmp_path / "above" / "a folder").mkdir(parents=True)
    (tmp_path / "above" / "a folder" / "a.png").write_bytes(b"")
    (tmp_path / "link").symlink_to("nothing")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to_pipe").symlink_to("pipe")
    open_pipe, other_end = os.pipe()
    for name in ("lacking", "torn"):
        shutil.copytree(bundle, tmp_path / name)
    (tmp_path / "lacking" / "weights.safetensors").unlink()
    (tmp_path / "torn" / "weights.safetensors").write_bytes(b"half")
    places = {
        **{name: tmp_path / name for name in ("link", "pipe", "to_pipe", "lacking", "torn")},
        "open_pipe": open_pipe,
        "above": tmp_path / "above",
        "folder": tmp_path / "above" / "a folder",
        "bundle": bundle, "image": images[0], "nowhere": tmp_path / "nowhere", "weightless": tmp_path / "weightless",
    }  # fmt: skip
    assert main([argument.format(**places) for argument in arguments]) == 2
    output, error = capsys.readouterr()
    os.close(open_pipe)
    os.close(other_end)
    said = message.replace("{folder}", f"'{tmp_path}/above/a folder'").replace("{above}", f"{tmp_path}/above")
    assert output == "" and error.startswith("error: ") and said in error and error.count("\n") == 1


def test_a_picture_that_is_named_as_a_flag_is_to_be_named_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-dash.png").write_bytes(b"")
    for arguments in (["bundle", "-dash.png"], ["bundle", "a.png", "-dash.png"]):
        assert main(arguments) == 2
        assert capsys.readouterr().err == "error: '-dash.png' is taken for a flag: name that file ./-dash.png.\n"


def test_a_transparent_picture_of_another_size_is_taken_too(
    found: Found, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is transparent is white, whatever colour is hidden there."""
    for name, colour in (("hidden", (255, 0, 0, 0)), ("white", (255, 255, 255, 255))):
        Image.new("RGBA", (300, 200), colour).save(tmp_path / f"{name}.png")
    hidden, white = predictions(capsys, found[0], tmp_path / "hidden.png", tmp_path / "white.png")
    assert hidden["predictions"] == white["predictions"]
