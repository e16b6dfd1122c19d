"""What answers at once loads nothing that takes seconds, as the modules say that a command has loaded at its end."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.bundles import SUMMARY, provenance
from tests.support.exported_search import finished_search
from tests.support.images import make_images
from tests.support.tiny_training import DATA, RECIPE, TINY
from trainers.bundle.contents import Bundle
from trainers.bundle.files import write_bundle

PROJECT = Path(__file__).resolve().parents[2]
HEAVY = {
    "torch", "torchvision", "ray", "mlflow", "sklearn", "scipy", "pandas", "numba", "matplotlib", "plotly", "onnx",
    "optuna", "sqlalchemy",
}  # fmt: skip
# Of a search that exists the ledger is read.
LEDGER = {"optuna", "sqlalchemy"}

RUN = """
import json, os, runpy, sys

report, *sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    with open(report, "w") as file:
        json.dump(sorted({name.partition(".")[0] for name in sys.modules}), file)
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search, class folders of images, and a bundle."""
    directory = tmp_path_factory.mktemp("quick")
    finished_search(directory / "runs")
    make_images(directory / "images", count=20)
    write_bundle(directory / "bundle", Bundle(TINY, RECIPE, DATA, SUMMARY, provenance()), {})
    return directory


VERSION = "vision-architecture-search 0."
SCRIPTS = {
    "search.py": set(),
    "report.py": set(),
    "export.py": set(),
    "status.py": LEDGER,
    "control.py": LEDGER,
    "train_fully.py": LEDGER,
    "train_on_ray.py": set(),
}
SPACE = ["nas/search.py", "--space", "resnet_stages"]
EXPORT = ["nas/export.py", "found"]
TRAIN = ["trainers/train.py"]


@pytest.mark.parametrize(
    ("command", "exit_code", "said", "allowed"),
    [
        (["nas/search.py", "--help"], 0, "--plan", set()),
        *((["nas/" + script, "--version"], 0, VERSION, allowed) for script, allowed in SCRIPTS.items()),
        (["trainers/train.py", "--version"], 0, VERSION, set()),
        (["trainers/predict.py", "--version"], 0, VERSION, set()),
        (["trainers/train_detector.py", "--version"], 0, VERSION, set()),
        (["trainers/train_detector.py", "resnet50"], 2, "data.root is missing", set()),
        (["trainers/train_detector.py", "resnet50", "data.root=images", "--model", "yolo"], 2, "'yolo'", set()),
        (["nas/train_on_ray.py", "bundle"], 2, "--processes is missing", set()),
        ([*SPACE, "--print-config", "--max-flops", "2M"], 0, "max_flops: 2000000.0", set()),
        ([*SPACE, "--plan", "data=digits"], 0, "1,079 to train, 359 to validate", set()),
        ([*SPACE, "--plan", "data=image_folder", "data.root=images"], 0, "2 classes", set()),
        ([*SPACE, "data=digit"], 2, "Did you mean 'digits'", set()),
        ([*SPACE, "data=image_folder", "data.root=nowhere"], 2, "there is no directory", set()),
        ([*SPACE, "--max-flops", "10"], 2, "expected at least that", set()),
        ([*SPACE, "--name", "found"], 2, "exists already", set()),
        (["nas/search.py", "--resume", "found", "training.epochs=3"], 2, "training.epochs: 40 -> 3", LEDGER),
        ([*EXPORT, "--list"], 0, "knee", LEDGER),
        (["nas/export.py", "--help"], 0, "--paper", set()),
        (["nas/export.py", "found"], 2, "expected either --list or --pick", set()),
        (["nas/export.py", "--paper", "resnet26-atention"], 2, "Did you mean 'resnet26-attention'", set()),
        ([*EXPORT, "--pick", "trial=2", "--onnx"], 2, "the weights of trial 2 are no longer", LEDGER),
        ([*EXPORT, "--pick", "max-latency=0.1"], 2, "the nearest is trial 1", LEDGER),
        ([*EXPORT, "--pick", "knee", "--out", "bundle"], 2, "exists already", LEDGER),
        ([*EXPORT, "--pick", "knee", "--register", "m"], 2, "there is no MLflow store", LEDGER),
        (["nas/status.py", "found"], 0, "search found: 4 finished", LEDGER),
        (["nas/status.py", "found", "--json"], 0, '"format": "status/1"', LEDGER),
        (["nas/report.py", "--help"], 0, "--open", set()),
        (["nas/report.py", "foun"], 2, "Did you mean 'found'", set()),
        (["nas/train_fully.py", "found", "recipe.epoch=3"], 2, "Did you mean 'recipe.epochs'", LEDGER),
        (["nas/train_fully.py", "found", "--device", "gpu"], 2, "expected auto, cpu, cuda", LEDGER),
        ([*SPACE, "--plan", "data=cifar10"], 0, "45,000 to train", set()),
        ([*TRAIN, "bundle", "--device", "gpu"], 2, "expected auto, cpu, cuda", set()),
        ([*TRAIN, "--help"], 0, "recipe.epochs", set()),
        ([*TRAIN, "nothing"], 2, "is no bundle", set()),
        ([*TRAIN, "bundle", "recipe.epoch=3"], 2, "Did you mean 'recipe.epochs'", set()),
        ([*TRAIN, "bundle", "data=imagenet", "data.root=nowhere"], 2, "there is no directory", set()),
        ([*TRAIN, "bundle", "--out", "images"], 2, "holds no full training", set()),
        (["trainers/compare.py", "--help"], 0, "--out", set()),
        (["trainers/compare.py", "bundle"], 2, "was not trained fully", set()),
        (["trainers/predict.py", "--help"], 0, "--json", set()),
        (["trainers/predict.py", "nothing", "picture.png"], 2, "is no bundle", set()),
        (["trainers/predict.py", "bundle", "picture.png"], 2, "image 'picture.png' is not there", set()),
    ],
)  # fmt: skip
def test_a_quick_command_loads_nothing_slow(
    directory: Path, tmp_path: Path, command: list[str], exit_code: int, said: str, allowed: set[str]
) -> None:
    report = tmp_path / "modules.json"
    script, *arguments = command
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(report), str(PROJECT / script), *arguments],
        cwd=directory, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == exit_code, done.stderr
    assert not (directory / "data").exists()
    assert said in (done.stderr if exit_code else done.stdout)
    loaded = set(json.loads(report.read_text(encoding="utf-8")))
    assert "search_spaces" in loaded and loaded & HEAVY <= allowed
