"""The pages under docs/ and the examples: every command and every line of Python in them is run.

A page's commands are run one after another where a search named `first`, another named `second`, and a picture lie.
"""

import json
import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from PIL import Image
from scipy.stats import mannwhitneyu

from nas.records.trial import OUTCOMES
from search_spaces.cost import cost
from search_spaces.paper_models import ARCHITECTURES
from search_spaces.units import readable_flops
from tests.project.draw_settings import PAGE as SETTINGS
from tests.project.draw_settings import page as settings_page
from tests.project.rooms import PROJECT
from tests.support.exported_search import finished_search
from tests.support.images import make_images
from tests.support.mlflow_server import empty_store

DOCS, EXAMPLES = PROJECT / "docs", PROJECT / "examples"
# Its commands search and train.
LONG = "your_images.md"
# Its trainings are shortened.
TRAINING = "full_training.md"
# What makes a search or a training as short as it gets: the last of a setting counts.
SHORT_SEARCH = [
    "--trials",
    "2",
    "training.epochs=1",
    "space.depth=[14]",
    "space.width=[0.125]",
    "data.loader_workers=0",
]
SHORT_TRAINING = ["recipe.epochs=1", "data.loader_workers=0"]


def blocks(page: str, language: str, *, slow: bool = False) -> list[str]:
    """The blocks of a language on a page: those marked as slow, or all others."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.findall(rf"(<!-- slow -->\n)?```{language}\n(.*?)```", text, re.DOTALL)
    return [block for mark, block in found if bool(mark) == slow]


def commands(page: str, *, slow: bool = False) -> list[list[str]]:
    """The words of each command of a page."""
    lines = [line for block in blocks(page, "sh", slow=slow) for line in block.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines]
    started_by = "torchrun" if slow else "python"
    assert all(command[0] == started_by for command in words), page
    return [command if slow else _of_script(command[1:]) for command in words]


def short(words: list[str]) -> list[str]:
    """The same command, but that a search or a training with it is as short as it gets."""
    if words[0] == "trainers/train.py":
        # What makes a training longer has one more epoch to do.
        return [*words, *SHORT_TRAINING, *(["recipe.epochs=2"] if "--longer" in words else [])]
    return [*words, *(SHORT_SEARCH if words[0] == "nas/search.py" else [])]


def _of_script(words: list[str]) -> list[str]:
    """The same with the script of a module in the place of `-m` and its name."""
    return [f"{words[1].replace('.', '/')}.py", *words[2:]] if words[0] == "-m" else words


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with two searches and a picture, in which everything is run."""
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    for name in ("first", "second"):
        finished_search(tmp_path / "runs", name)
    Image.new("L", (40, 30), 90).save(tmp_path / "picture.png")
    yield tmp_path


def run(words: list[str], monkeypatch: pytest.MonkeyPatch) -> object:
    """The exit code of a command in this process."""
    script = str(PROJECT / words[0])
    monkeypatch.setattr(sys, "argv", [script, *words[1:]])
    # What it puts in their place must not outlive the test.
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    with pytest.raises(SystemExit) as end:
        runpy.run_path(script, run_name="__main__")
    sys.stderr.flush()
    return end.value.code


PAGES = sorted(path.name for path in DOCS.glob("*.md") if "```sh\n" in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", [page for page in PAGES if page != LONG])
def test_the_commands_of_a_page_do_what_they_say(
    page: str, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda address: True)
    # Where it is new, it takes MLflow seconds to make.
    (place / "runs" / "mlflow.db").write_bytes(empty_store())
    for words in commands(page):
        assert run(short(words) if page == TRAINING else words, monkeypatch) == 0, (words, capfd.readouterr().err)
    if page == TRAINING:
        assert json.loads((place / "bundles/knee-trained/result.json").read_bytes())["epochs"] == 2
        assert (place / "bundles/knee-trained/after-1-epochs/bundle").is_dir() and (place / "tuned/bundle").is_dir()
    if page == "reports.md":
        # What the page says is there, and `your_images.md` of a comparison.
        assert all((place / file).is_file() for file in ("runs/first/report/front.html", "report-of-first/trials.csv"))
        assert (place / "both/comparison.html").is_file()


def run_python(page: str) -> dict[str, Any]:
    """What the blocks of Python of a page define, run one after another."""
    names: dict[str, Any] = {}
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec"), names)
    return names


def test_the_python_of_a_page_runs(place: Path) -> None:
    names = run_python("from_python.md")
    assert {"front", "figure", "prediction", "network", "architecture"} <= names.keys()
    assert (place / "front.png").is_file()


def test_the_rate_of_a_machine_is_that_of_its_search(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rate = run_python("sizing.md")["rate"]
    assert (rate > 0).all() and float(capsys.readouterr().out) in list(rate)


def test_the_page_of_sizing_has_the_costs_of_the_papers_models() -> None:
    text = (DOCS / "sizing.md").read_text(encoding="utf-8")
    rows = re.findall(r"\| `(resnet[\w-]+)` \| (.*?) \| (.*?) \|", text)
    assert len(rows) == 6
    for name, *stated in rows:
        sizes = ((32, 10), (224, 1000))
        counted = [
            cost(ARCHITECTURES[name], image_size=size, in_channels=3, classes=classes).flops for size, classes in sizes
        ]
        assert stated == [readable_flops(flops) for flops in counted]


def test_the_page_of_comparing_has_the_least_chances_of_the_test() -> None:
    rows = re.findall(r"\| (\d+) \| (0\.\d+) \|", (DOCS / "comparing.md").read_text(encoding="utf-8"))
    assert len(rows) == 5
    for seeds, least in rows:
        one, other = range(int(seeds)), range(int(seeds), 2 * int(seeds))
        assert float(least) == float(f"{mannwhitneyu(one, other, method='exact').pvalue:.2g}")


def test_the_notebook_runs(place: Path) -> None:
    names: dict[str, object] = {}
    notebook = json.loads((EXAMPLES / "read_a_search.ipynb").read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            exec(compile("".join(cell["source"]), "read_a_search.ipynb", "exec"), names)
    assert (place / "bundles/first-from-notebook/weights.safetensors").is_file()


def test_the_example_of_a_bundle_runs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = runpy.run_path(str(EXAMPLES / "use_a_bundle.py"))
    runpy.run_path(str(EXAMPLES / "search_and_export.py"))["vas"].open_search("first").export("accuracy", "best")
    example["main"]("best", ["picture.png", "nothing.png"])
    said = capsys.readouterr().out
    assert "4 channels" not in said and "picture.png: " in said and "nothing.png" in said


def test_the_page_of_settings_is_made_from_the_code() -> None:
    # Out of date: python -m tests.project.draw_settings
    assert SETTINGS.read_text(encoding="utf-8") == settings_page()


def test_the_page_of_reports_has_every_outcome() -> None:
    rows = [f"| `{outcome}` | {meaning} |" for outcome, meaning in OUTCOMES.items()]
    assert "\n".join(rows) in (DOCS / "reports.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_whole_way_from_a_folder_of_images_to_predictions(tmp_path: Path) -> None:
    make_images(tmp_path / "photos", count=40, size=(24, 24))
    make_images(tmp_path / "other_photos", count=30, size=(24, 24))
    Image.new("RGB", (40, 30), (200, 20, 20)).save(tmp_path / "picture.png")
    typed = commands(LONG)
    # With those that make the environment of a fresh clone.
    made = [line for block in blocks(LONG, "console") for line in block.splitlines()]
    assert made[0].startswith("git clone") and len(made) + len(typed) < 20
    for words in typed:
        done = _run_in(tmp_path, [str(PROJECT / words[0]), *short(words)[1:]])
        assert done.returncode == 0, (words, done.stderr)
    [answer] = json.loads(done.stdout)
    assert answer["class"] in ("cat", "dog")
    assert (tmp_path / "runs/comparisons/first-second/comparison.html").is_file()


@pytest.mark.slow
def test_what_python_searches_on_the_page_and_in_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks("from_python.md", "python", slow=True):
        exec(compile(f"import vision_architecture_search as vas\n{block}", "from_python.md", "exec"), {})
    assert (tmp_path / "runs/mine/front.json").is_file()
    words = [str(EXAMPLES / "search_and_export.py"), "small", "search.trials=2", "training.epochs=1"]
    done = _run_in(tmp_path, words)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "small.png").is_file() and (tmp_path / "bundles/small/bundle.json").is_file()


@pytest.mark.slow
def test_what_torchrun_starts_on_the_page_of_full_trainings(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export, *_ = commands(TRAINING)
    assert run(export, monkeypatch) == 0
    [[_, *words]] = commands(TRAINING, slow=True)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    script = words.index("trainers/train.py")
    launcher = ["-m", "torch.distributed.run", *words[:script]]
    done = _run_in(place, [*launcher, str(PROJECT / words[script]), *words[script + 1 :], *SHORT_TRAINING])
    assert done.returncode == 0, done.stderr
    assert "2 processes" in done.stdout and (place / "two-processes/bundle").is_dir()


def _run_in(directory: Path, words: list[str]) -> "subprocess.CompletedProcess[str]":
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        output, error = process.communicate(timeout=600)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, output, error)
