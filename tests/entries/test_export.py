import dataclasses
import json
import resource
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from nas.export import main
from nas.ledger.ledger import Ledger
from nas.records.trial import TrialRecord
from nas.settings.run_directory import RunDirectory
from search_spaces.errors import UserError
from tests.support.bundles import inference_cost
from tests.support.exported_search import finished_search
from tests.support.present import present
from tests.support.searches import epoch_result, tiny_space
from trainers.bundle.document import read_bundle
from trainers.bundle.files import read_model
from trainers.bundle.provenance import Provenance
from trainers.data.config import DATA_DEFAULTS
from trainers.data.datasets import check_data
from trainers.model import seeded_model
from trainers.predict import main as predict
from trainers.train import main as train

Search = tuple[RunDirectory, Ledger]


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Search:
    return finished_search(tmp_path_factory.mktemp("runs"))


def export(search: Search, *arguments: object) -> int:
    return main(["found", "--runs-dir", str(search[0].runs), *map(str, arguments)])


def test_the_front_is_listed(
    search: Search, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert export(search, "--list") == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["trial", "accuracy", "FLOPs", "params", "ms", "MB"]
    records = search[1].records
    for row, number, start in zip(
        rows, (1, 0, 3),
        ("1 80.00% 1 k 99 1 3.25", "0 90.00% 2 k 100 2 3.25", "3 95.00% 4 k 97 – –"), strict=False,
    ):  # fmt: skip
        assert " ".join(row.split()).startswith(f"{start} {records[number].architecture.label}")
    assert sum("← knee" in row for row in rows) == 1
    assert len(rows) == 5 and rows[3].startswith("ms and MB at batch 1") and "A Processor" in rows[3]
    assert rows[4].startswith("knee: where the front bends, farthest beyond the line between its ends")


def test_an_unsteady_latency_is_listed_with_its_range_and_said_where_it_decides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, ledger = finished_search(tmp_path / "runs")
    ledger.record_inference(3, inference_cost(latency_ms=2.5, latency_low_ms=1.75, latency_high_ms=5.5, rounds=20))
    search = directory, ledger
    assert export(search, "--list") == 0
    # Without a terminal each member has one line, however long.
    line = next(line for line in capsys.readouterr().out.splitlines() if "1.8–5.5" in line)
    assert line.split()[0] == "3" and ledger.records[3].architecture.label in line
    assert export(search, "--pick", "max-latency=3", "--out", tmp_path / "bundle") == 0
    output = capsys.readouterr().out
    assert "bundle: trial 0" in output and "perhaps within it: trial 3 (95.00%, 1.75 to 5.5 ms)" in output
    assert "by latency trial 0 (2 ms) cannot be told apart from 3" in output


def test_of_a_network_that_was_trained_twice_both_accuracies_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, ledger = finished_search(tmp_path / "runs")
    first, number = ledger.records[0], ledger.next_number
    again = dataclasses.replace(
        first, number=number, seed=number, outcome="running", epochs=(), replicate=1, anchor=False, inference=None
    )
    ledger.register(again, tiny_space())
    for epoch in (1, 2):
        ledger.record_epoch(number, epoch_result(epoch, 0.8))
    ledger.end(number, "finished")
    assert export((directory, ledger), "--pick", "max-flops=2000", "--out", tmp_path / "bundle") == 0
    said = capsys.readouterr().out
    assert "validation accuracy 85.00%, the mean of 2 trainings; that of the bundle's weights 90.00%" in said
    provenance = read_bundle(tmp_path / "bundle").provenance
    assert isinstance(provenance, Provenance) and provenance.val_accuracy == 0.9


def test_a_bundle_holds_the_weights_and_where_they_come_from(
    search: Search, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, ledger = search
    assert export(search, "--pick", "max-latency=1.5", "--out", tmp_path / "bundle") == 0
    output = capsys.readouterr().out
    assert "trial 1" in output and f"python trainers/train.py {tmp_path / 'bundle'} data=digits" in output
    record = ledger.records[1]
    bundle = read_bundle(tmp_path / "bundle")
    assert bundle.architecture == record.architecture and bundle.data_summary == check_data(DATA_DEFAULTS["digits"])
    found = bundle.provenance
    assert isinstance(found, Provenance)
    assert (found.search, found.search_id, found.pick, found.trial) == (
        "found", ledger.search_id, "max-latency=1.5", 1,
    )  # fmt: skip
    assert (found.seed, found.search_seed, found.code_revision) == (12, 5, "96e04f6db345")
    assert (found.epochs, found.val_accuracy, found.train_loss, found.val_loss) == (2, 0.8, 0.5, 0.55)
    assert found.inference == present(record.inference).to_json() and found.torch_version == torch.__version__
    images = torch.randn(3, 1, 16, 16)
    model = seeded_model(record.architecture, bundle.data_summary, 1).eval()
    assert torch.equal(read_model(tmp_path / "bundle")(images), model(images))
    names = {path.name for path in (tmp_path / "bundle").iterdir()}
    assert names == {"bundle.json", "weights.safetensors", "README.md"}


def test_weights_of_another_network_are_not_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As where checkpoints were copied by hand."""
    directory, ledger = finished_search(tmp_path / "runs")
    (theirs,) = (directory.path / "checkpoints" / "0000").glob("*.checkpoint")
    (own,) = (directory.path / "checkpoints" / "0003").glob("*.checkpoint")
    own.write_bytes(theirs.read_bytes())
    assert export((directory, ledger), "--pick", "trial=3", "--out", tmp_path / "bundle") == 2
    assert "the weights do not fit the architecture of the bundle" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


def test_any_finished_trial_is_exported_without_weights_where_they_are_gone(
    search: Search, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bundle"
    assert export(search, "--pick", "trial=2", "--out", out) == 0
    output = capsys.readouterr().out
    assert "trial 2, " in output and "without weights: the search has not kept those of trial 2" in output
    assert {path.name for path in out.iterdir()} == {"bundle.json", "README.md"}
    assert read_bundle(out).architecture == search[1].records[2].architecture
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "had not kept its weights" in card and "weights.safetensors" not in card
    with pytest.raises(UserError, match=r"holds no weights.*train\.py .*bundle trains its network"):
        read_model(out)
    assert train([str(out), "recipe.epochs=1", "recipe.batch_size=512", "--out", str(tmp_path / "trained")]) == 0
    assert read_model(tmp_path / "trained" / "bundle")


def test_a_bundle_says_what_its_classes_are_called_and_what_is_done_to_a_picture(
    search: Search, tmp_path: Path
) -> None:
    assert export(search, "--pick", "trial=0", "--out", tmp_path / "bundle") == 0
    document = json.loads((tmp_path / "bundle" / "bundle.json").read_bytes())
    assert document["classes"] == list("0123456789")
    assert document["preprocessing"] == {
        "channels": 1, "size": 16, "resize_shorter_side": 16, "interpolation": "bilinear", "crop": "center",
        "mean": [0.305], "std": [0.318],
    }  # fmt: skip


@pytest.mark.slow
def test_onnx_alone_gives_the_class_of_a_picture_by_what_its_metadata_say(
    search: Search, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bundle"
    assert export(search, "--pick", "trial=0", "--onnx", "--out", out) == 0
    assert "model.onnx" in json.loads((out / "bundle.json").read_bytes())["files"]
    picture = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)).save(picture)
    capsys.readouterr()
    assert predict([str(out), str(picture), "--json"]) == 0
    [expected] = json.loads(capsys.readouterr().out)

    session = onnxruntime.InferenceSession(out / "model.onnx", providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    rule, classes = json.loads(metadata["preprocessing"]), json.loads(metadata["classes"])
    assert (rule["interpolation"], rule["crop"], rule["channels"]) == ("bilinear", "center", 1)
    image = Image.open(picture).convert("L")
    factor = rule["resize_shorter_side"] / min(image.size)
    # Pillow's resizing is always antialiased.
    assert rule["antialias"] is True
    image = image.resize([int(side * factor) for side in image.size], Image.Resampling.BILINEAR)
    left, top = ((side - rule["size"]) // 2 for side in image.size)
    least, most = rule["value_range"]
    pixels = np.asarray(image.crop((left, top, left + rule["size"], top + rule["size"])), np.float32)[None, None]
    pixels = least + pixels * (most - least) / 255
    mean, std = (np.asarray(rule[name], np.float32)[:, None, None] for name in ("mean", "std"))
    [logits] = session.run(None, {"images": (pixels - mean) / std})
    assert classes[logits[0].argmax()] == expected["class"]
    exponentials = np.exp(logits[0])
    assert (exponentials / exponentials.sum()).max() == pytest.approx(expected["probability"], abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either --list or --pick"),
        (["--list", "--pick", "knee"], "either --list or --pick"),
        (["--list", "--onnx"], "--list writes nothing"),
        (["--pick", "nee"], "Did you mean 'knee'"),
        (["--pik", "knee"], "Did you mean '--pick'"),
        (["--pick", "max-latency=0.5"], "the nearest is trial 1 with 1 ms"),
        (["--pick", "trial=2", "--onnx"], "the weights of trial 2 are no longer"),
        (["--pick", "knee", "--alias", "best"], "they need --register"),
        (["--pick", "knee", "--tracking-uri", "x"], "they need --register"),
        (["--pick", "knee", "--register", "a/b"], "--register is 'a/b'"),
        (["--pick", "knee", "--register", "name", "--alias", "latest"], "--alias is 'latest'"),
        (["--pick", "knee", "--register", "name", "--alias", ""], "--alias: is empty"),
        (["--pick", "knee", "--register", "name"], "there is no MLflow store"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    search: Search,
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert export(search, *arguments) == 2
    output, error = capsys.readouterr()
    assert output == "" and error.startswith("error: ") and error.count("\n") == 1 and message in error
    assert list(tmp_path.iterdir()) == []
    assert not (search[0].runs / "mlflow.db").exists()


def test_a_full_disk_is_one_line_and_leaves_no_half_bundle(
    search: Search, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The checkpoint that is read is larger than what may be written.
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        assert export(search, "--pick", "knee", "--out", tmp_path / "bundle") == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    error = capsys.readouterr().err
    assert error.startswith("error: the bundle cannot be written: ") and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
    assert export(search, "--pick", "knee", "--out", tmp_path / "bundle") == 0


def test_a_stopped_trial_is_exported_to_be_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory, ledger = finished_search(tmp_path / "runs")
    number = ledger.next_number
    architecture = ledger.propose(tiny_space(), "random", 0)
    ledger.register(TrialRecord(number, architecture, 5000, 90, 20, "running"), tiny_space())
    ledger.record_epoch(number, epoch_result(1, 0.4))
    search = directory, ledger
    assert export(search, "--pick", f"trial={number}", "--out", tmp_path / "bundle") == 2
    assert f"that trial is {ledger.records[number].outcome}" in capsys.readouterr().err
    ledger.end(number, "stopped")
    assert export(search, "--pick", f"trial={number}", "--out", tmp_path / "bundle") == 0
    bundle = read_bundle(tmp_path / "bundle")
    assert bundle.architecture == architecture and bundle.provenance.origin["trial"] == str(number)
    card = (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")
    assert "after 1 epoch of 40, where it was stopped | 40.00% |" in card and "picked from its trials" in card
    assert train([str(tmp_path / "bundle"), "recipe.epochs=1", "recipe.batch_size=512", "data.image_size=8"]) == 0
