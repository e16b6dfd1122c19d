"""Images that have changed since a search or a full training began: it does not go on and says what differs."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

import nas.search
import nas.train_fully
import trainers.train
from nas.driver.command_line import read_command
from nas.driver.open_ledger import search_ledger
from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.ledger.location import open_ledger
from nas.records.trial import TrialRecord
from nas.settings.run_directory import RunDirectory, run_directory
from tests.entries.test_search import SMALL, run
from tests.support import tiny_training
from tests.support.bundles import provenance
from tests.support.images import folder_config, make_images
from tests.support.present import present
from tests.support.searches import epoch_result
from tests.support.tiny_training import TINY
from trainers.bundle.contents import Bundle
from trainers.bundle.document import read_bundle
from trainers.bundle.files import write_bundle
from trainers.data.datasets import examine_data
from trainers.data.file_index import keep_index
from trainers.data.fingerprint import BRING_BACK, TAKE_AWAY
from trainers.model import seeded_model

TRAINING = [*SMALL, "data.image_size=16", "data.loader_workers=0", "training.batch_size=8"]


def exchange(images: Path, one: str = "cat/0.png", other: str = "dog/0.png") -> None:
    first, second = images / one, images / other
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def begin(directory: Path, *, keep_fingerprint: bool = True) -> tuple[Path, RunDirectory]:
    """Images, and a search on them up to its first trial, as its driver begins it."""
    images = make_images(directory / "images", count=20)
    search = run_directory(str(directory / "runs"), "one")
    command = read_command(
        [
            "--space", "resnet_stages", "--name", "one", "--runs-dir", str(search.runs), *TRAINING,
            "data=image_folder", f"data.root={images}",
        ]
    )  # fmt: skip
    data = examine_data(command.data)
    if keep_fingerprint:
        search_ledger(command, search, data, 1)
        keep_index(search.data_index, present(data.index))
    else:
        search.path.mkdir(parents=True)
        Ledger.create(ledger_url(search.ledger), "one", command.header(data.summary, 1, "unknown"))
    return images, search


def contents(search: RunDirectory) -> dict[Path, bytes]:
    """All but who had the lock last."""
    return {path: path.read_bytes() for path in search.path.iterdir() if path != search.lock}


def resume(search: RunDirectory, *arguments: str) -> int:
    return nas.search.main(["--resume", "one", "--runs-dir", str(search.runs), *arguments])


@pytest.mark.parametrize("how", [["--plan"], [], ["--fork", "two", "--plan"], ["--fork", "two"]])
def test_exchanged_images_end_a_resume_with_their_names(
    tmp_path: Path, how: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    images, search = begin(tmp_path)
    before = contents(search)
    exchange(images)
    assert resume(search, *how) == 2
    assert capsys.readouterr().err == (
        "error: search 'one' measured its accuracies on other images: 2 files have other contents, such as 'cat/0.png' "
        "(what it was is now 'dog/0.png'). Results of the two cannot be compared: bring the images back, or start a "
        "new search, by --space.\n"
    )
    assert contents(search) == before and not (search.runs / "two").exists()
    exchange(images)
    assert resume(search, *[flag for flag in how if flag != "--plan"], "--plan") == 0


def gone(images: Path) -> None:
    (images / "cat" / "1.png").unlink()


def new(images: Path) -> None:
    shutil.copy(images / "cat" / "1.png", images / "cat" / "new.png")


def renamed(images: Path) -> None:
    (images / "cat" / "1.png").rename(images / "cat" / "new.png")


# What is done to the images, what is said of it, and what undoes it.
UNDOING = [
    (gone, "'cat/1.png' is gone", "bring the images back"),
    (new, "'cat/new.png' is new", "take away what is new"),
    (renamed, "'cat/new.png' is new", "take away what is new, and bring the other images back"),
]


@pytest.mark.parametrize(("change", "said", "undone_by"), UNDOING)
def test_what_undoes_a_change_is_said_to_who_resumes_a_search(
    tmp_path: Path, change: Callable[[Path], None], said: str, undone_by: str, capsys: pytest.CaptureFixture[str]
) -> None:
    images, search = begin(tmp_path)
    change(images)
    assert resume(search, "--plan") == 2
    error = capsys.readouterr().err
    assert said in error and f": {undone_by}, or start a new search, by --space.\n" in error
    search.data_index.unlink()
    assert resume(search, "--plan") == 2
    # Its fingerprint alone knows how many files there were.
    assert (TAKE_AWAY if change is new else BRING_BACK) in capsys.readouterr().err


def test_without_its_index_it_is_still_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, search = begin(tmp_path)
    search.data_index.unlink()
    exchange(images)
    assert resume(search, "--plan") == 2
    # What the ledger keeps names them all the same, but not what has become of which.
    assert "on other images: 2 files have other contents, such as 'cat/0.png'. " in capsys.readouterr().err


def test_the_images_may_lie_elsewhere_and_be_newer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, search = begin(tmp_path)
    shutil.copytree(images, tmp_path / "elsewhere", copy_function=shutil.copyfile)
    shutil.rmtree(images)
    capsys.readouterr()
    assert resume(search, "--plan") == 2
    said = f"there is no directory '{images}'. Where its images were moved, data.root=NEW goes on with them."
    assert said in capsys.readouterr().err
    assert resume(search, "--plan", f"data.root={tmp_path / 'elsewhere'}") == 0
    # A plan writes nothing.
    assert resume(search, "--plan") == 2
    go_on(search, f"data.root={tmp_path / 'elsewhere'}")
    assert resume(search, "--plan") == 0 and open_ledger(search, None).header.data.root == str(tmp_path / "elsewhere")
    shutil.move(tmp_path / "elsewhere", images)
    go_on(search, f"data.root={images}")
    assert resume(search, "--plan") == 0


def go_on(search: RunDirectory, *arguments: str) -> Ledger:
    """What a resumed search does up to its first trial."""
    command = read_command(["--resume", "one", "--runs-dir", str(search.runs), *arguments])
    return search_ledger(command, search, examine_data(command.data), 1)


def with_other_labels(images: Path) -> None:
    (images / "cat").rename(images / "x")
    (images / "dog").rename(images / "cat")
    (images / "x").rename(images / "dog")


def with_another_name(images: Path) -> None:
    (images / "cat" / "0.png").rename(images / "cat" / "zero.png")


def test_full_trainings_are_compared_on_the_images_of_the_search_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, search = begin(tmp_path)
    ledger = open_ledger(search, None)
    anchor = ledger.header.space.anchors()[0]
    record = TrialRecord(0, anchor, 2000, 100, 11, "running", anchor=True)
    ledger.register(record, ledger.header.space)
    ledger.record_epoch(0, epoch_result(1, 0.5))
    ledger.end(0, "finished")
    command = ["one", "--runs-dir", str(search.runs), "recipe.epochs=1", "recipe.warmup_epochs=0",
               "recipe.batch_size=8", "--device", "cpu"]  # fmt: skip
    take_away = "take away what is new, and bring the other images back"
    for change, named, undone_by in (
        (with_other_labels, "(what it was is now 'dog/", "bring the images back"),
        (with_another_name, "'cat/0.png' is gone", take_away),
    ):
        elsewhere = Path(shutil.copytree(images, tmp_path / change.__name__))
        change(elsewhere)
        assert nas.train_fully.main([*command, f"data.root={elsewhere}"]) == 2
        output, error = capsys.readouterr()
        assert output == "" and error.count("\n") == 1 and named in error
        assert "search 'one' measured its accuracies on other images: " in error
        assert f"cannot be compared with it: {undone_by}, or train an exported network alone, by" in error
        assert not search.full_trainings.exists()
    shutil.move(images, tmp_path / "moved")
    assert nas.train_fully.main(command) == 2
    assert "data.root=NEW goes on with them" in capsys.readouterr().err
    go_on(search, f"data.root={tmp_path / 'moved'}")
    assert nas.train_fully.main(command) == 0
    assert "fully trained: " in capsys.readouterr().out


def test_a_search_without_a_fingerprint_goes_on_and_has_one_from_then_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As earlier code began it."""
    images, search = begin(tmp_path, keep_fingerprint=False)
    for said in (1, 0):
        command = read_command(["--resume", "one", "--runs-dir", str(search.runs)])
        search_ledger(command, search, examine_data(command.data), 1)
        assert capsys.readouterr().err.count("kept no fingerprint of its images") == said
    exchange(images)
    assert resume(search, "--plan") == 2


def test_images_that_nobody_could_read_may_be_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, search = begin(tmp_path)
    open_ledger(search, None).record_unreadable_images(["cat/7.png"])
    shutil.copy(images / "cat" / "1.png", images / "cat" / "7.png")
    exchange(images)
    assert resume(search, "--plan") == 2
    exchange(images)
    command = read_command(["--resume", "one", "--runs-dir", str(search.runs)])
    ledger = search_ledger(command, search, examine_data(command.data), 1)
    assert "images that one could not read have been mended" in capsys.readouterr().out
    assert ledger.unreadable_images == () and open_ledger(search, None).header == ledger.header
    assert resume(search, "--plan") == 0
    shutil.copy(images / "cat" / "2.png", images / "cat" / "7.png")
    assert resume(search, "--plan") == 2


@pytest.mark.slow
def test_a_whole_search_is_refused_on_exchanged_images_and_goes_on_with_its_own(tmp_path: Path) -> None:
    images = make_images(tmp_path / "images", count=20)
    begun = run(
        tmp_path, "nas/search.py", "--space", "resnet_stages", "--name", "one", "--trials", "2", *TRAINING,
        "data=image_folder", f"data.root={images}",
    )  # fmt: skip
    assert begun.returncode == 0, begun.stderr
    ledger = (tmp_path / "runs" / "one" / "ledger.db").read_bytes()
    exchange(images)
    refused = run(tmp_path, "nas/search.py", "--resume", "one", "--trials", "3")
    assert refused.returncode == 2 and "2 files have other contents, such as 'cat/0.png'" in refused.stderr
    assert (tmp_path / "runs" / "one" / "ledger.db").read_bytes() == ledger
    exchange(images)
    done = run(tmp_path, "nas/search.py", "--resume", "one", "--trials", "3")
    assert done.returncode == 0 and "images" not in done.stderr, done.stderr
    summary = json.loads((tmp_path / "runs" / "one" / "summary.json").read_text(encoding="utf-8"))
    assert summary["architectures_trained"] == 3
    exported = run(tmp_path, "nas/export.py", "one", "--pick", "accuracy", "--out", "bundle")
    assert exported.returncode == 0, exported.stderr
    assert read_bundle(tmp_path / "bundle").data_fingerprint == examine_data(folder_config(images)).fingerprint


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of images, a bundle of a network that was found on them, and its full training, out."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    directory = tmp_path_factory.mktemp("trained")
    config = folder_config(make_images(directory / "images", count=12), image_size=8)
    recipe = dataclasses.replace(tiny_training.RECIPE, epochs=1, batch_size=8, warmup_epochs=0.5)
    data = examine_data(config)
    bundle = Bundle(TINY, recipe, config, data.summary, provenance(), data.fingerprint)
    write_bundle(directory / "bundle", bundle, seeded_model(TINY, data.summary, 0).state_dict())
    assert train(directory) == 0
    torch.set_num_threads(threads)
    return directory


def train(directory: Path, *arguments: str, out: str = "out") -> int:
    return trainers.train.main(
        [str(directory / "bundle"), *arguments, "--out", str(directory / out), "--device", "cpu"]
    )


def test_a_full_training_goes_on_with_its_images_alone(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, out = trained / "images", trained / "out"
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    exchange(images, "cat/1.png", "dog/1.png")
    assert train(trained) == 2
    assert f"'{out}' was begun on other images: 2 files have other contents, such as 'cat/1.png' " in (
        capsys.readouterr().err
    )
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    exchange(images, "cat/1.png", "dog/1.png")
    assert train(trained) == 0
    # It has its index, and they may lie elsewhere.
    shutil.copytree(images, trained / "elsewhere")
    assert train(trained, f"data.root={trained / 'elsewhere'}") == 0
    (trained / "elsewhere" / "cat" / "3.png").unlink()
    assert train(trained, f"data.root={trained / 'elsewhere'}") == 2
    assert "'cat/3.png' is gone" in capsys.readouterr().err


@pytest.mark.parametrize(("change", "said", "undone_by"), UNDOING)
def test_what_undoes_a_change_is_said_to_who_goes_on_with_a_full_training(
    trained: Path, change: Callable[[Path], None], said: str, undone_by: str, capsys: pytest.CaptureFixture[str]
) -> None:
    images = Path(shutil.copytree(trained / "images", trained / change.__name__))
    change(images)
    assert train(trained, f"data.root={images}") == 2
    error = capsys.readouterr().err
    assert said in error and f". {undone_by.capitalize()}, or name another directory with --out.\n" in error


def test_other_images_than_those_of_the_bundle_are_said_to_be(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Training on them is what a full training is for."""
    others = make_images(trained / "others", classes=("cat", "wolf"), count=12)
    assert train(trained, f"data.root={others}", out="other") == 0
    said = capsys.readouterr().out
    assert "\nwarning  not the images of the bundle: class 'dog' is missing; class 'wolf' is new" in said
    assert read_bundle(trained / "other" / "bundle").data_fingerprint == examine_data(folder_config(others)).fingerprint
    exchanged = Path(shutil.copytree(trained / "images", trained / "exchanged"))
    exchange(exchanged, "cat/1.png", "dog/1.png")
    assert train(trained, f"data.root={exchanged}", out="exchanged images") == 0
    said = capsys.readouterr().out
    assert "\nwarning  not the images of the bundle: 2 files have other contents, such as 'cat/1.png'" in said
    assert train(trained, out="same") == 0
    assert "of the bundle" not in capsys.readouterr().out.replace(str(trained), "")


def test_a_full_training_goes_on_with_mended_images(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = Path(shutil.copytree(trained / "images", trained / "damaged"))
    for name in ("cat", "dog"):
        for file in sorted((images / name).iterdir())[1:]:
            file.write_bytes(file.read_bytes()[:-60])
    damaged = f"data.root={images}"
    assert train(trained, damaged, out="mended") == 2
    named = json.loads((trained / "mended" / "unreadable_images.json").read_bytes())
    assert named and "images cannot be read, none may be" in capsys.readouterr().err
    for path in named:
        shutil.copy(trained / "images" / path, images / path)
    train(trained, damaged, out="mended")
    assert "begun on other images" not in capsys.readouterr().err
    for path in images.rglob("*.png"):
        shutil.copy(trained / "images" / path.relative_to(images), path)
    # More than what could not be read has changed.
    assert train(trained, damaged, out="mended") == 2
    assert "begun on other images" in capsys.readouterr().err
