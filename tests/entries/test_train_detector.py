"""A detector as a user trains it: on a folder in COCO's format, to pycocotools' precision, interrupted and resumed."""

import csv
import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import safetensors.torch
import torch
import yaml
from mlflow import MlflowClient
from PIL import Image

from nas.driver.mlflow_catch_up import trainings_of
from nas.report import main as report
from search_spaces.errors import UserError
from search_spaces.exit_codes import MISTAKE, SUCCESS, TERMINATED
from tests.support.bundles import provenance
from tests.support.coco_folders import coco_folder
from tests.support.exported_search import finished_search
from tests.support.mlflow_server import empty_store
from tests.support.tiny_training import TINY
from trainers.bundle.contents import Bundle
from trainers.bundle.files import write_bundle
from trainers.data.config import DATA_DEFAULTS, DataSummary
from trainers.detection.coco_data import CocoConfig, examine_coco
from trainers.detection.coco_evaluation import CocoEvaluation, coco_scores
from trainers.detection.coco_images import CocoImages
from trainers.detection.files import read_detector
from trainers.detection.trained import read_trained_detector
from trainers.history import read_history
from trainers.model import seeded_model
from trainers.predict import main as predict
from trainers.recipe_files import full_training
from trainers.schedule import learning_rate_at
from trainers.train_detector import main

SUMMARY = DataSummary("image_folder", 2, 3, 224, 8, 2, 0)
# A small detector learns two shapes in so many epochs.
RECIPE = (
    "recipe.epochs=8", "recipe.batch_size=4", "recipe.optimizer=adamw", "recipe.learning_rate=3e-4",
    "recipe.augment=none",
)  # fmt: skip
FAST = ("data.image_size=64", "data.loader_workers=0", "--device", "cpu")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bundles") / "knee"
    contents = Bundle(TINY, full_training("image_folder"), DATA_DEFAULTS["image_folder"], SUMMARY, provenance(trial=42))
    write_bundle(directory, contents, seeded_model(TINY, SUMMARY, 7).state_dict())
    return directory


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coco_folder(tmp_path_factory.mktemp("coco"))


def train(bundle: Path | str, folder: Path, *more: object) -> int:
    return main([str(bundle), f"data.root={folder}", *FAST, *map(str, more)])


@pytest.fixture(scope="module")
def trained(bundle: Path, folder: Path) -> Path:
    """A detector that has learned two shapes, from scratch."""
    out = folder / "trained"
    assert train(bundle, folder, *RECIPE, "--init", "scratch", "--out", out) == SUCCESS
    return out


def test_a_detector_learns_shapes_and_is_kept(folder: Path, trained: Path) -> None:
    result = json.loads((trained / "result.json").read_bytes())
    assert result["scores"]["AP50"] > 0.3 and result["images"] == {"train": 16, "validation": 6}
    epochs = read_history(trained / "history.csv")
    assert len(epochs) == result["epochs"] == 8 and epochs[-1].val_accuracy == result["scores"]["AP"]
    rows = list(csv.DictReader((trained / "precisions.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["category"], row["class"]) for row in rows] == [("3", "square"), ("17", "disc")]
    assert sum(float(row["AP"]) for row in rows) / 2 == pytest.approx(result["scores"]["AP"])
    # What was kept finds the same.
    design, detector = read_detector(trained / "detector")
    data = examine_coco(CocoConfig(str(folder), image_size=64))
    images = CocoImages(data.validation, image_size=64, mean=design.mean, std=design.std, first_label=0, workers=0)
    cpu: dict[str, Any] = {"precision": "float32", "rank": 0, "world_size": 1, "between_batches": lambda: None}
    loss, precision = CocoEvaluation(data)(detector, images, torch.device("cpu"), 4, **cpu)
    assert [loss, precision] == pytest.approx([result["val_loss"], result["scores"]["AP"]])


def test_a_detector_is_kept_with_its_card_and_finds_objects_on_pictures(
    folder: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = (trained / "detector" / "README.md").read_text(encoding="utf-8")
    score = json.loads((trained / "result.json").read_bytes())["scores"]["AP50"]
    assert f"| AP50 | {score:.4f} |" in card and "`square`, `disc`" in card and "6 validation images" in card
    data = examine_coco(CocoConfig(str(folder), image_size=64))
    # One of them twice as large and not square, in whose pixels boxes are.
    large = tmp_path / "large.png"
    with Image.open(data.validation[0].file) as image:
        wide = Image.new("RGB", (128, 96), (120, 120, 120))
        wide.paste(image.convert("RGB").resize((96, 96)), (0, 0))
        wide.save(large)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    files = [each.file for each in data.validation]
    assert predict([str(trained / "detector"), *files, str(large), str(broken), "--json"]) == MISTAKE
    printed = capsys.readouterr()
    found = {each["image"]: each for each in json.loads(printed.out)}
    assert "error" in found[str(broken)] and "broken.png' cannot be read" in printed.err
    # pycocotools' precision of what is printed is that of the evaluation.
    results = [
        {"image_id": each.annotated.id, "category_id": one["category_id"], "bbox": one["box"], "score": one["score"]}
        for each in data.validation
        for one in found[each.file]["objects"]
    ]
    assert coco_scores(data, results).scores["AP50"] == pytest.approx(score, abs=1e-6)
    assert all(left + width <= 128 and top + height <= 96 + 1e-3 for left, top, width, height in (
        one["box"] for one in found[str(large)]["objects"]
    ))  # fmt: skip
    assert max(one["box"][0] + one["box"][2] for one in found[str(large)]["objects"]) > 64
    assert predict([str(trained / "detector"), files[0], "--top", "1"]) == SUCCESS
    best = found[files[0]]["objects"][0]
    left, top, width, height = best["box"]
    assert capsys.readouterr().out == (
        f"{files[0]}: {best['class']} {best['score']:.2f} at {left:.0f},{top:.0f} {width:.0f}x{height:.0f}\n"
    )


def test_a_detector_on_a_trials_network_has_a_run_in_mlflow_below_that_of_the_trial(
    trained: Path, tmp_path: Path
) -> None:
    directory, ledger = finished_search(tmp_path / "runs")
    (directory.runs / "mlflow.db").write_bytes(empty_store())

    with pytest.raises(UserError, match="is a detector on trial 42 of näs-1: expected one of a trial of this search"):
        trainings_of(directory, ledger, [str(trained)])
    out = Path(shutil.copytree(trained, tmp_path / "out"))
    document = json.loads((out / "detector/detector.json").read_bytes())
    assert document["provenance"] == provenance(trial=42).to_json()
    document["provenance"] |= {"trial": 3, "search_id": ledger.search_id}
    (out / "detector/detector.json").write_text(json.dumps(document), encoding="utf-8")
    client = MlflowClient(f"sqlite:///{directory.runs / 'mlflow.db'}")
    result = json.loads((out / "result.json").read_bytes())
    for path in (out, out / "detector"):
        assert report(["found", "--runs-dir", str(directory.runs), "--trained", str(path)]) == 0
        [experiment] = [each for each in client.search_experiments() if each.name == "searches"]
        [run] = client.search_runs([experiment.experiment_id], "tags.`nas.kind` = 'detector'")
    assert run.info.run_name.startswith("0003 · retinanet, seed 0 · ") and run.info.status == "FINISHED"
    trial = client.get_run(run.data.tags["mlflow.parentRunId"])
    assert (trial.data.tags["nas.kind"], trial.data.tags["nas.trial"]) == ("trial", "3")
    assert run.data.metrics["AP50"] == result["scores"]["AP50"] and run.data.params["head"] == "convolution"
    history = client.get_metric_history(run.info.run_id, "AP")
    assert {(point.step, point.value) for point in history} == {
        (epoch.epoch, epoch.val_accuracy) for epoch in read_history(out / "history.csv")
    }
    assert {"history.csv", "precisions.csv"} <= {file.path for file in client.list_artifacts(run.info.run_id)}
    # One of earlier code does not say where its network comes from, and a damaged one is named.
    for change, message in (
        ({"provenance": None}, "a detector on a network that it does not say where it comes from"),
        ({"result": None}, "is damaged: it lacks what its training came to."),
        ({"files": {}}, "is damaged: it lacks the checksum of weights.safetensors."),
        ({"format": "detector/9"}, "is no detector: expected format 'detector/1'."),
    ):
        (out / "detector/detector.json").write_text(json.dumps(document | change), encoding="utf-8")
        with pytest.raises(UserError, match=message):
            trainings_of(directory, ledger, [str(out)])


def test_settings_can_be_printed_and_given_back(
    bundle: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--pyramid", "attention", "--seed", "3", "recipe.epochs=4", "recipe.micro_batch=2", "--print-config"]
    assert train(bundle, folder, *flags) == SUCCESS
    printed = capsys.readouterr().out
    found = yaml.safe_load(printed)
    assert found["detector"] == {"model": "retinanet", "pyramid": "attention", "head": "convolution"}
    assert (found["data"]["image_size"], found["recipe"]["epochs"], found["conduct"]["micro_batch"]) == (64, 4, "2")
    file = tmp_path / "detector.yaml"
    file.write_text(printed, encoding="utf-8")
    assert main([str(bundle), "--config", str(file), "--print-config"]) == SUCCESS
    assert capsys.readouterr().out == printed
    assert main([str(bundle), "--config", str(file), "--print-config", "--pyramid", "convolution", "--seed", "0"]) == 0
    changed = yaml.safe_load(capsys.readouterr().out)
    assert (changed["detector"]["pyramid"], changed["seed"]) == ("convolution", 0)
    file.write_text("detector: {hed: attention}\n", encoding="utf-8")
    assert main([str(bundle), f"data.root={folder}", "--config", str(file)]) == MISTAKE
    assert "unknown key of detector 'hed'" in capsys.readouterr().err
    file.write_text("data: {name: digits}\nrecipe: {epochs: 3}\n", encoding="utf-8")
    assert main([str(bundle), f"data.root={folder}", "--config", str(file)]) == MISTAKE
    assert "of a full training, in sections, which trainers/train.py takes by --config" in capsys.readouterr().err


def test_what_has_ended_is_said_again_and_another_training_is_refused(
    bundle: Path, folder: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(bundle, folder, *RECIPE, "--init", "scratch", "--out", trained) == SUCCESS
    words = capsys.readouterr().out
    assert "epoch " not in words and f"detector {trained / 'detector'}" in words and "\nAP50       0." in words
    assert train(bundle, folder, *RECIPE, "--out", trained) == MISTAKE
    assert "holds another training (initial_weights is None there" in capsys.readouterr().err
    assert train(bundle, folder, *RECIPE, "--init", "scratch", "--seed", 1, "--out", trained) == MISTAKE
    assert "seed is 0 there and 1 here" in capsys.readouterr().err


TWO_EPOCHS = ("recipe.epochs=2", "recipe.batch_size=4")


@pytest.fixture(scope="module")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coco_folder(tmp_path_factory.mktemp("small-coco"), train=8, validation=2)


@pytest.fixture(scope="module")
def undisturbed(bundle: Path, small_folder: Path) -> Path:
    """Two epochs from the weights of the bundle."""
    out = small_folder / "undisturbed"
    assert train(bundle, small_folder, *TWO_EPOCHS, "--out", out) == SUCCESS
    return out


def test_a_training_that_is_interrupted_goes_on_to_the_same_detector(
    bundle: Path, small_folder: Path, undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    def end_within_the_second_epoch() -> None:
        while not (out / "checkpoints" / "epoch-000001.checkpoint").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=end_within_the_second_epoch)
    thread.start()
    assert train(bundle, small_folder, *TWO_EPOCHS, "--out", out) == TERMINATED
    thread.join()
    printed = capsys.readouterr()
    assert "weights  those of the bundle" in printed.out and "2 classes, 64 px\n" in printed.out
    assert "learning rate 0.0025\n         (learning rate 0.01 at batch 16, in proportion to the batch)" in printed.out
    assert "interrupted; to go on: " in printed.err
    assert train(bundle, small_folder, *TWO_EPOCHS, "--out", out) == SUCCESS
    assert "resumes  after epoch 1, and 1 of 2 steps" in capsys.readouterr().out
    assert (out / "detector" / "weights.safetensors").read_bytes() == (
        undisturbed / "detector" / "weights.safetensors"
    ).read_bytes()


def test_fewer_images_at_a_time_come_to_the_same_detector(
    bundle: Path, small_folder: Path, undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert train(bundle, small_folder, *TWO_EPOCHS, "recipe.micro_batch=2", "--out", out) == SUCCESS
    assert "batch    2 passes × 2 images" in capsys.readouterr().out
    weights = [safetensors.torch.load_file(each / "detector" / "weights.safetensors") for each in (undisturbed, out)]
    # Sums are rounded otherwise; a step of the optimizer is a hundred times as large.
    torch.testing.assert_close(weights[1], weights[0], rtol=0, atol=1e-5)


def test_one_that_has_ended_is_made_longer_on_purpose_and_what_it_had_come_to_stays(
    bundle: Path, small_folder: Path, undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path(shutil.copytree(undisturbed, tmp_path / "out"))
    three = ("recipe.epochs=3", "recipe.batch_size=4", "--out", out)
    for more, message in (
        ([], "(recipe.epochs is 2 there and 3 here): the learning rate follows the number of epochs"),
        (["--longer", "--seed", 1], "seed is 0 there and 1 here"),
        (["--longer", "recipe.epochs=1"], "has 2 epochs: expected recipe.epochs=N above."),
        (["--longer", "--out", tmp_path / "none"], "there is none in"),
    ):
        assert train(bundle, small_folder, *three, *more) == MISTAKE
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert train(bundle, small_folder, *three, "--longer") == SUCCESS
    words = capsys.readouterr().out
    assert "resumes  after epoch 2\n         made longer, from 2 epochs to 3: its learning rate is that of 3" in words
    result = json.loads((out / "result.json").read_bytes())
    assert result["epochs"] == 3 and result["lengthened"] == [{"from_epochs": 2, "after_epoch": 2, "step": 0}]
    epochs, before = read_history(out / "history.csv"), read_history(undisturbed / "history.csv")
    steps, of = 8 // 4, [read_trained_detector(each).recipe for each in (undisturbed, undisturbed, out)]
    assert epochs[:2] == before and [epoch.learning_rate for epoch in epochs] == pytest.approx(
        [learning_rate_at(recipe, number * steps - 1, steps) for number, recipe in enumerate(of, 1)]
    )
    assert "| epochs | 3, of 2 at first |" in (out / "detector" / "README.md").read_text(encoding="utf-8")
    # What it had come to is a detector as before.
    aside = read_trained_detector(out / "after-2-epochs")
    assert aside.weights == read_trained_detector(undisturbed).weights and aside.history == before
    assert read_trained_detector(out).weights != aside.weights and (out / "after-2-epochs" / "precisions.csv").exists()
    # The same command, with the flag and without, says what has come of it.
    for more in (["--longer"], []):
        assert train(bundle, small_folder, *three, *more) == SUCCESS
        assert "epoch " not in capsys.readouterr().out


def test_a_bundle_that_was_never_trained_is_told_of_what_starts_without_weights(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contents = Bundle(TINY, full_training("image_folder"), DATA_DEFAULTS["image_folder"], SUMMARY, provenance(trial=42))
    write_bundle(tmp_path / "new", contents, None)
    assert train(tmp_path / "new", folder) == MISTAKE
    error = capsys.readouterr().err
    assert "holds no weights" in error and "--init scratch starts without any" in error and error.count("\n") == 1


def test_a_disk_without_room_for_a_checkpoint_is_said_before_anything_is_written(
    bundle: Path,
    small_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elsewhere = shutil.disk_usage
    monkeypatch.setattr(
        shutil,
        "disk_usage",
        lambda path: SimpleNamespace(free=1_000) if str(path) == str(tmp_path) else elsewhere(path),
    )
    assert train(bundle, small_folder, *TWO_EPOCHS, "--out", tmp_path / "out") == MISTAKE
    error = capsys.readouterr().err
    assert "0.00 MB free, and a checkpoint takes" in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_epoch_that_the_history_lacks_comes_from_the_checkpoint(
    bundle: Path, small_folder: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(undisturbed, tmp_path / "out"))
    whole = (out / "history.csv").read_bytes()
    (out / "history.csv").write_bytes(whole[: whole.rindex(b"\n", 0, -1) + 1])
    (out / "result.json").unlink()
    assert train(bundle, small_folder, *TWO_EPOCHS, "--out", out) == SUCCESS
    assert (out / "history.csv").read_bytes() == whole


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "BUNDLE is missing"),
        (["resnet50-attentoin", "data.root={folder}"], "unknown bundle or model of the paper 'resnet50-attentoin'"),
        (["resnet26", "data.root={folder}", "--init", "weights"], "'resnet26' is a model of the paper, which has none"),
        (["{bundle}"], "data.root is missing"),
        (["{bundle}", "data.root={folder}", "--init", "weight"], "unknown --init 'weight'"),
        (["{bundle}", "data.root={folder}", "--model", "yolo"], "unknown --model 'yolo'"),
        (["{bundle}", "data.root={folder}", "recipe.mixup=0.2"], "recipe.mixup is 0.2: expected 0.0 for a detector"),
        (["{bundle}", "data.root={folder}", "recipe.compile=default"], "expected 'none' for a detector"),
        (["{bundle}", "data.root={folder}", "recipe.augment=shift"], "expected none or flip_crop for a detector"),
        (["{bundle}", "data.root={folder}", "recipe.epochz=3"], "Did you mean 'recipe.epochs'"),
        (["{bundle}", "data.root={folder}", "data.image_size=16"], "data.image_size is 16: expected 32 to 4096"),
        (["{bundle}", "data.root={folder}", "--seed", "-1"], "--seed is -1"),
        (
            ["{bundle}", "data.root={folder}", "recipe.batch_size=3", "--out", "{folder}"],
            "holds no detector's training",
        ),
    ],
)
def test_a_mistake_is_named_and_nothing_starts(
    bundle: Path, folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main([text.format(bundle=bundle, folder=folder) for text in arguments]) == MISTAKE
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
