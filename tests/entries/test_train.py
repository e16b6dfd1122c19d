"""The full training as a user runs it: real processes on real data, interrupted, resumed, and split over two."""

import csv
import dataclasses
import fcntl
import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
import yaml
from PIL import Image

from tests.support import tiny_training
from tests.support.bundles import provenance
from tests.support.images import make_images
from tests.support.tiny_training import DATA, TINY
from tests.support.without_slow_steps import without_slow_steps
from trainers.bundle.contents import Bundle
from trainers.bundle.document import read_bundle
from trainers.bundle.files import read_model, read_weights, write_bundle
from trainers.compare import main as compare
from trainers.data.corruptions import CORRUPTIONS
from trainers.data.datasets import check_data, load_test
from trainers.evaluation import evaluate
from trainers.full.train_settings import settings_of
from trainers.history import read_history
from trainers.model import seeded_model
from trainers.train import main

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = str(ROOT / "trainers" / "train.py")
RECIPE = dataclasses.replace(tiny_training.RECIPE, epochs=2)
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
BUNDLE = Bundle(TINY, RECIPE, DATA, check_data(DATA), provenance(trial=42))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bundles") / "knee"
    write_bundle(directory, BUNDLE, seeded_model(TINY, BUNDLE.data_summary, 7).state_dict())
    return directory


@pytest.fixture(scope="module")
def trained(bundle: Path) -> tuple[Path, str]:
    """The output directory and the words of one uninterrupted training."""
    done = train(bundle, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    return bundle.with_name("knee-trained"), done.stdout


def train(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SCRIPT, *map(str, arguments)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)


def test_a_training_ends_with_a_result_and_a_bundle(bundle: Path, trained: tuple[Path, str]) -> None:
    out, words = trained
    result = json.loads((out / "result.json").read_bytes())
    assert (result["epochs"], result["seed"], result["architecture_id"]) == (2, 0, TINY.id)
    found = read_bundle(out / "bundle")
    assert found.architecture == TINY and found.recipe == RECIPE and found.data == DATA
    assert found.provenance == provenance(trial=42, full_training=result)
    model = seeded_model(TINY, found.data_summary, 0)
    assert result["params"] == sum(parameter.numel() for parameter in model.parameters())
    model.load_state_dict(read_weights(out / "bundle"))
    loss, accuracy = evaluate(model, load_test(DATA), "cpu", 359)
    assert result["test_accuracy"] == pytest.approx(accuracy, abs=1e-9)
    assert result["test_loss"] == pytest.approx(loss, rel=1e-5)
    assert f"{result['test_accuracy']:.2%}" in words
    assert [line.split()[1] for line in words.splitlines() if line.startswith("epoch")] == ["1/2", "2/2"]
    assert max(len(line) for line in words.splitlines() if str(out) not in line) <= 80


def test_a_training_leaves_its_epochs_its_classes_and_pictures(trained: tuple[Path, str]) -> None:
    out, words = trained
    result = json.loads((out / "result.json").read_bytes())
    epochs = read_history(out / "history.csv")
    assert [epoch.epoch for epoch in epochs] == [1, 2] and epochs[-1].val_accuracy == result["val_accuracy"]
    assert f"{epochs[0].train_loss:.4f}" in words
    measured = result["measured"]
    assert (measured["split"], measured["images"]) == ("test", 359)
    assert measured["top1_accuracy"] == result["test_accuracy"] <= measured["top5_accuracy"] <= 1
    header, *rows = csv.reader((out / "confusion.csv").read_text(encoding="utf-8").splitlines())
    counts = [[int(count) for count in row[1:]] for row in rows]
    assert header[1:] == [row[0] for row in rows] == list("0123456789")
    assert sum(map(sum, counts)) == 359
    assert sum(counts[index][index] for index in range(10)) == round(359 * result["test_accuracy"])
    for index, row in enumerate(csv.DictReader((out / "classes.csv").read_text(encoding="utf-8").splitlines())):
        assert int(row["images"]) == sum(counts[index]) and int(row["correct"]) == counts[index][index]
        others = [count for column, count in enumerate(counts[index]) if column != index]
        assert int(row["times"]) == max(others) and counts[index][int(row["most_taken_for"])] == max(others)
    for name in ("curves.png", "confusion.png"):
        with Image.open(out / name) as picture:
            assert min(picture.size) > 300 and len(picture.convert("RGB").getcolors(1 << 24) or []) > 50
    card = (out / "bundle" / "README.md").read_text(encoding="utf-8")
    assert (
        f"| expected calibration error on the 359 test images, 15 bins | {measured['calibration_error']:.2%} |" in card
    )
    assert f"`{result['hardest_classes'][0]['class']}` {result['hardest_classes'][0]['accuracy']:.2%}" in card
    assert "corruptions" not in card and f"top-5 {measured['top5_accuracy']:.2%}" in words


def test_robustness_and_exports_come_from_the_same_command_when_it_has_ended_too(
    bundle: Path, trained: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    shutil.copytree(trained[0], out)
    before = json.loads((out / "result.json").read_bytes())
    assert main([str(bundle), "--out", str(out), "--corruptions", "--program"]) == 0
    result = json.loads((out / "result.json").read_bytes())
    robustness = result.pop("robustness")
    assert result == before and robustness["corruptions"].keys() == set(CORRUPTIONS)
    header, *rows = csv.reader((out / "corruptions.csv").read_text(encoding="utf-8").splitlines())
    assert header == ["corruption", *(f"severity_{severity}" for severity in range(1, 6))]
    values = [float(value) for row in rows for value in row[1:]]
    assert len(values) == 40 and sum(values) / 40 == pytest.approx(robustness["accuracy"])
    found = read_bundle(out / "bundle")
    assert found.provenance.full_training == result | {"robustness": robustness}
    card = (out / "bundle" / "README.md").read_text(encoding="utf-8")
    assert "accuracy under corruptions" in card and "jpeg compression " in card
    assert f"{robustness['accuracy']:.2%} on corrupted images" in capsys.readouterr().out
    model = read_model(out / "bundle")
    images = torch.randn(3, 1, 8, 8)
    program = torch.export.load(out / "model.pt2").module()
    with torch.inference_mode():
        assert torch.allclose(program(images), model(images), atol=1e-5)
    # What is there is not done again.
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert main([str(bundle), "--out", str(out), "--corruptions", "--program"]) == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file() and path.name != "lock"} == {
        path: time for path, time in times.items() if path.name != "lock"
    }


@pytest.mark.slow
def test_onnx_comes_from_the_same_command(bundle: Path, trained: tuple[Path, str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(trained[0], out)
    assert main([str(bundle), "--out", str(out), "--onnx"]) == 0
    session = onnxruntime.InferenceSession(out / "bundle" / "model.onnx", providers=["CPUExecutionProvider"])
    images = torch.randn(3, 1, 8, 8)
    [logits] = session.run(None, {"images": images.numpy()})
    with torch.inference_mode():
        assert torch.allclose(torch.from_numpy(logits), read_model(out / "bundle")(images), atol=1e-4)


def test_it_starts_from_scratch_not_from_the_bundles_weights(bundle: Path, trained: tuple[Path, str]) -> None:
    """Two bundles of one architecture with other weights would train alike: the first checkpoint is the seed's."""
    other = bundle.with_name("other")
    write_bundle(other, BUNDLE, seeded_model(TINY, BUNDLE.data_summary, 8).state_dict())
    assert main([str(other)]) == 0
    assert_same_weights(trained[0], bundle.with_name("other-trained"))


def test_a_finished_training_is_reported_again_and_not_repeated(
    bundle: Path, trained: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = (trained[0] / "result.json").stat().st_mtime_ns
    assert main([str(bundle)]) == 0
    assert capsys.readouterr().out.splitlines() == trained[1].splitlines()[-6:]
    assert (trained[0] / "result.json").stat().st_mtime_ns == before


def interrupted(bundle: Path, out: Path, number: signal.Signals, *arguments: str) -> tuple[int, str]:
    """Sends the signal after the first epoch's line; returns the exit code and what went to stderr."""
    command = [sys.executable, SCRIPT, str(bundle), "--out", str(out), *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch"):
                process.send_signal(number)
                break
        _, errors = process.communicate(timeout=60)
    return process.returncode, errors


EPOCHS = "recipe.epochs=30"


@pytest.fixture(scope="module")
def undisturbed(bundle: Path) -> Path:
    out = bundle.with_name("undisturbed")
    assert main([str(bundle), EPOCHS, "--out", str(out)]) == 0
    return out


# Signals that ask for the end are handled alike; test_interrupted_trainings.py has SIGTERM.
@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGKILL])
def test_an_interrupted_training_goes_on_to_the_same_weights(
    bundle: Path, undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    out = tmp_path / "out with a space"
    code, errors = interrupted(bundle, out, number, EPOCHS)
    assert not (out / "result.json").exists()
    if number == signal.SIGINT:
        assert code == 130
        said = f"interrupted; to go on: python {SCRIPT} {bundle} --out '{out}' {EPOCHS}"
        assert without_slow_steps(errors) == [said]
    assert main([str(bundle), EPOCHS, "--out", str(out)]) == 0
    assert "resumes  after epoch" in capsys.readouterr().out
    assert_same_weights(undisturbed, out)


def assert_same_weights(one: Path, other: Path) -> None:
    first, second = (read_weights(out / "bundle") for out in (one, other))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    results = [json.loads((out / "result.json").read_bytes()) for out in (one, other)]
    for result in results:
        del result["seconds"]
    assert results[0] == results[1]


@pytest.mark.slow  # test_equal_trainings.py holds two processes to one
def test_two_processes_train_as_one_global_batch(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", SCRIPT]
    arguments = [str(bundle), "recipe.epochs=1", "--out", str(out), "--device", "cpu"]
    done = subprocess.run([*command, *arguments], env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 1/1") == 1 and "2 processes" in done.stdout
    result = json.loads((out / "result.json").read_bytes())
    model = seeded_model(TINY, BUNDLE.data_summary, 0)
    model.load_state_dict(read_weights(out / "bundle"))
    loss, accuracy = evaluate(model, load_test(DATA), "cpu", 359)
    assert result["test_accuracy"] == pytest.approx(accuracy, abs=1e-9)
    assert result["test_loss"] == pytest.approx(loss, rel=1e-5)


def test_another_recipe_trains_and_its_settings_can_be_printed_and_given_back(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        str(bundle),
        "recipe=imagenet_adamw",
        "recipe.epochs=1",
        "recipe.batch_size=120",
        "recipe.warmup_epochs=0",
    ]
    sizes = ["recipe.first_image_size=8", "recipe.train_image_size=16", "recipe.precision=float32"]
    assert main([*command, *sizes, "--print-config", "--out", str(tmp_path / "none")]) == 0
    printed = capsys.readouterr().out
    found = yaml.safe_load(printed)
    assert (found["data"]["name"], found["conduct"]["micro_batch"], found["seed"]) == ("digits", "auto", 0)
    assert (found["recipe"]["optimizer"], found["recipe"]["train_image_size"]) == ("adamw", 16)
    assert not list(tmp_path.iterdir())
    whole = tmp_path / "whole.yaml"
    whole.write_text(printed, encoding="utf-8")
    assert main([str(bundle), "--config", str(whole), "--print-config"]) == 0
    assert capsys.readouterr().out == printed
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(found["recipe"]), encoding="utf-8")
    assert main([str(bundle), f"recipe={file}", "--out", str(tmp_path / "out")]) == 0
    words = capsys.readouterr().out
    assert (
        "adamw; images resized crop, rand augment, erasing 0.25, mixup 0.8, cutmix 1, 3 times each, 8 to 16 px" in words
    )
    trained = read_bundle(tmp_path / "out" / "bundle")
    assert dataclasses.asdict(trained.recipe) == found["recipe"]
    # Trained on other sizes, it is evaluated and kept for the images of its data.
    assert trained.input_rule.size == DATA.image_size


def test_a_diverging_training_says_what_to_try(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([str(bundle), "recipe.learning_rate=1e30", "recipe.warmup_epochs=0", "--out", str(tmp_path / "out")])
    errors = capsys.readouterr().err
    assert code == 1 and errors.count("\n") == 1
    assert errors.startswith("error: the loss is not finite in epoch 1: try a lower recipe.learning_rate")
    assert compare([str(tmp_path / "out")]) == 2
    assert "holds a full training that has diverged" in capsys.readouterr().err


def test_a_file_of_settings_has_others_on_top(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("recipe: {epochs: 7, weight_decay: 5e-05}\nseed: 4\n", encoding="utf-8")
    config = [str(bundle), "--config", str(file), "--print-config"]

    def printed(*words: str) -> Any:
        assert main([*config, *words]) == 0
        return yaml.safe_load(capsys.readouterr().out)

    found = printed()
    assert (found["recipe"]["epochs"], found["recipe"]["weight_decay"], found["seed"]) == (7, 5e-05, 4)
    assert printed("recipe.epochs=9", "--seed", "0")["recipe"]["epochs"] == 9
    assert printed("recipe.epochs=9", "--seed", "0")["seed"] == 0
    assert printed("recipe=digits_adamw")["recipe"]["optimizer"] == "adamw"
    # Another data set comes with its own settings, and the recipe stays.
    file.write_text("data: {name: digits, split_seed: 5}\nrecipe: {epochs: 7}\n", encoding="utf-8")
    assert printed()["data"]["split_seed"] == 5
    found = printed("data=cluttered_digits")
    assert (found["data"]["name"], found["data"]["split_seed"], found["recipe"]["epochs"]) == ("cluttered_digits", 0, 7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recipes: {}", "Did you mean 'recipe'?"),
        ("recipe: digits", "recipe: expected KEY: VALUE, a line each, found the text 'digits'"),
        ("recipe:", "recipe: expected KEY: VALUE, a line each, found nothing"),
        ("recipe: {mixup: yes}", "recipe.mixup is 'true': expected a number"),
        ("recipe: {epoch: 3}", "Did you mean 'recipe.epochs'?"),
        ("seed: many", "seed: expected a whole number, found 'many'"),
        ("epochs: 3", "mine.yaml' holds a recipe, which recipe=FILE takes."),
        (
            "detector: {head: attention}",
            "of a detector, in sections, which trainers/train_detector.py takes by --config",
        ),
        ("{data: {name: digits}, space: {name: x}}", "of a search, in sections, which nas/search.py takes by --config"),
        ("[1]", "expected KEY: VALUE, a line each, found a list"),
    ],
)
def test_a_file_that_holds_no_settings_is_named(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    assert main([str(bundle), "--config", str(file), "data=cifar10", "--print-config"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{missing}"], "is no bundle"),
        ([], "BUNDLE is missing"),
        (
            ["{bundle}", "--sed", "3"],
            "unknown flag '--sed': expected one of --help, --version, --out, --init, --longer, --onnx, --program, "
            "--corruptions, --device, --seed, --print-config, --config. "
            "Did you mean '--seed'?",
        ),
        (["{bundle}", "--seed", "-1"], "--seed is -1"),
        (["{bundle}", "--device", "gpu"], "--device is 'gpu': expected auto, cpu, cuda or cuda:N"),
        (["{bundle}", "recipe.epoch=3"], "Did you mean 'recipe.epochs'?"),
        (["{bundle}", "recipe=imagenet_papr"], "Did you mean 'imagenet_paper'?"),
        (["{bundle}", "recipe.optimizer=adamw"], "expected a learning_rate, too, or a recipe of that optimizer"),
        (["{bundle}", "recipe={missing}.yaml"], "cannot be read: No such file"),
        (["{bundle}", "data=imagenet"], "data.root="),
        (["{bundle}", "data=image_folder", "data.root={missing}"], "there is no directory"),
        (
            ["{bundle}", "data.root={missing}"],
            "missing', and the images of data=digits come with scikit-learn: expected",
        ),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_created(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    places = {"bundle": bundle, "missing": tmp_path / "missing"}
    filled = [argument.format(**places) for argument in arguments]
    code = main([*filled, "--out", str(tmp_path / "out")])
    written, errors = capsys.readouterr()
    assert (code, written) == (2, "")
    assert errors.startswith("error: ") and message in errors and errors.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "cuda:9999"], "CUDA devices"),
        (["data.cache=/proc/nothing"], "data.cache '/proc/nothing': '/proc' is not writable"),
        (["data.cache={file}"], "is a file, expected a directory"),
    ],
)
def test_a_mistake_that_is_seen_after_the_images_leaves_nothing_of_them(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    images = make_images(tmp_path / "images", count=20)
    filled = [argument.format(file=images / "cat" / "0.png") for argument in arguments]
    data = ["data=image_folder", f"data.root={images}"]
    assert main([str(bundle), *data, *filled, "--out", str(tmp_path / "out")]) == 2
    written, errors = capsys.readouterr()
    assert written == "" and message in errors and errors.count("\n") == 1
    assert list(tmp_path.iterdir()) == [images]


def test_another_directory_is_refused_by_the_difference(
    bundle: Path, trained: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(bundle), "recipe.momentum=0.8"]) == 2
    assert "recipe.momentum is 0.9 there and 0.8 here" in capsys.readouterr().err
    assert main([str(bundle), "--out", "/proc/there"]) == 2
    assert "--out '/proc/there': '/proc' is not writable" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main([str(bundle), "--out", str(tmp_path)]) == 2
    assert "holds no full training" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_second_process_is_refused_while_the_first_trains(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with (out / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (out / "settings.json").write_text(json.dumps(settings_of(BUNDLE, [], 0).to_json()))
        assert main([str(bundle), "--out", str(out)]) == 2
    assert "another process is training in" in capsys.readouterr().err


def test_help_names_every_setting() -> None:
    done = train("--help")
    assert done.returncode == 0
    names = {f"data.{field.name}" for field in dataclasses.fields(DATA)} - {"data.name"}
    for name in {"data=", *names, *(f"recipe.{field.name}" for field in dataclasses.fields(RECIPE))}:
        assert name in done.stdout, name
    assert max(map(len, done.stdout.splitlines())) <= 110


def test_no_file_here_hides_another_module() -> None:
    """`python trainers/train.py` puts this directory first on the path of imports."""
    ours = {path.stem for path in (ROOT / "trainers").glob("*.py")} - {"__init__"}
    others = set(sys.stdlib_module_names) | set(importlib.metadata.packages_distributions())
    assert not ours & others


def test_the_package_loads_with_torch_and_numpy_alone() -> None:
    """Neither torchvision nor scikit-learn, nor anything of the search, is loaded before it is needed."""
    program = (
        "import sys, trainers.full.full_training, trainers.train\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & "
        "{'torchvision', 'sklearn', 'PIL', 'ray', 'optuna', 'mlflow', 'hydra', 'omegaconf', 'rich', 'nas'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
