"""Bundles: data that comes back equal, strict to read, and never taken where it is damaged."""

import dataclasses
import hashlib
import json
import math
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from search_spaces.architecture import Architecture, Attention, Convolution
from search_spaces.errors import UserError
from tests.support.bundles import SUMMARY, inference_cost, provenance
from trainers.bundle.contents import Bundle
from trainers.bundle.document import read_bundle
from trainers.bundle.files import read_model, read_weights, write_bundle
from trainers.data.config import DATA_DEFAULTS
from trainers.model import seeded_model
from trainers.recipe_files import full_training

ARCHITECTURE = Architecture("convolution", 8, ((Convolution(),), (Attention(3, 2, "relative"),)) * 2)
PROVENANCE = provenance(inference=inference_cost().to_json())
FULL = {"test_accuracy": 0.98, "val_accuracy": 0.97, "epochs": 40}
ROOT = Path(__file__).resolve().parents[3]
BUNDLE = Bundle(ARCHITECTURE, full_training("digits"), DATA_DEFAULTS["digits"], SUMMARY, PROVENANCE)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    directory = tmp_path / "found" / "knee"
    write_bundle(directory, BUNDLE, {"a": torch.arange(4.0), "b": torch.ones(2, 2, dtype=torch.int64)})
    return directory


def rewrite(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """The bundle with `change` made to its document and every checksum right, as someone might who knows the format."""
    document = json.loads((directory / "bundle.json").read_bytes())
    del document["checksum"]
    change(document)
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    document["checksum"] = hashlib.sha256(text.encode()).hexdigest()
    (directory / "bundle.json").write_text(json.dumps(document, indent=2) + "\n")


def test_bundle_and_weights_come_back(written: Path) -> None:
    assert read_bundle(written) == BUNDLE
    weights = read_weights(written)
    assert torch.equal(weights["a"], torch.arange(4.0)) and torch.equal(weights["b"], torch.ones(2, 2).long())
    assert sorted(path.name for path in written.iterdir()) == ["README.md", "bundle.json", "weights.safetensors"]
    assert [path.name for path in written.parent.iterdir()] == ["knee"]
    rewrite(written, lambda document: None)
    assert read_bundle(written) == BUNDLE


def test_a_network_is_rebuilt_with_the_same_output(tmp_path: Path) -> None:
    model = seeded_model(ARCHITECTURE, SUMMARY, 3).eval()
    write_bundle(tmp_path / "bundle", BUNDLE, model.state_dict())
    images = torch.rand(2, 1, 16, 16)
    assert not torch.equal(model(images), seeded_model(ARCHITECTURE, SUMMARY, 0).eval()(images))
    assert torch.equal(model(images), read_model(tmp_path / "bundle")(images))


def test_weights_of_another_network_are_refused(written: Path) -> None:
    with pytest.raises(UserError, match="do not fit") as caught:
        read_model(written)
    one_line(caught)


def test_every_file_has_its_checksum(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", BUNDLE, {"a": torch.ones(1)}, onnx=b"a network")
    assert read_bundle(tmp_path / "bundle") == BUNDLE
    contents = {path.name: path.read_bytes() for path in (tmp_path / "bundle").iterdir()}
    files = json.loads(contents.pop("bundle.json"))["files"]
    assert files == {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    assert contents.keys() == {"README.md", "weights.safetensors", "model.onnx"}
    assert contents["model.onnx"] == b"a network"


def test_an_existing_directory_is_refused(written: Path) -> None:
    with pytest.raises(UserError, match="exists already"):
        write_bundle(written, BUNDLE, {})
    assert read_bundle(written) == BUNDLE


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    bundle = dataclasses.replace(BUNDLE, provenance=provenance(full_training=FULL | {"more": object()}))
    with pytest.raises(TypeError):
        write_bundle(tmp_path / "bundle", bundle, {"a": torch.ones(1)})
    with pytest.raises(ValueError):
        write_bundle(tmp_path / "bundle", dataclasses.replace(BUNDLE, provenance=provenance(val_loss=math.nan)), {})
    assert not list(tmp_path.iterdir())


def test_a_disk_that_takes_no_more_leaves_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError):
            write_bundle(tmp_path / "bundle", BUNDLE, {"a": torch.ones(50_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_a_process_that_is_killed_while_it_writes_leaves_no_bundle(tmp_path: Path) -> None:
    # The kernel's signal for a file that grows too large, which Python ignores unless told otherwise.
    program = (
        "import resource, signal, sys, torch; from pathlib import Path; "
        "from trainers.bundle.files import write_bundle; "
        "from tests.trainers.bundle.test_files import BUNDLE; signal.signal(signal.SIGXFSZ, signal.SIG_DFL); "
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, -1)); "
        "write_bundle(Path(sys.argv[1]), BUNDLE, {'a': torch.ones(50_000)})"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path / "bundle")], cwd=ROOT, timeout=60)
    assert killed.returncode == -signal.SIGXFSZ
    assert not (tmp_path / "bundle").exists()
    with pytest.raises(UserError, match="is no bundle"):
        read_bundle(tmp_path / "bundle")
    write_bundle(tmp_path / "bundle", BUNDLE, {"a": torch.ones(50_000)})
    assert read_bundle(tmp_path / "bundle") == BUNDLE
    # The directory of a training holds its bundle.
    with pytest.raises(UserError, match=r"is no bundle: .* Did you mean '.*/bundle', the bundle of the training there"):
        read_bundle(tmp_path)


def test_the_bundle_that_may_be_meant_is_named(tmp_path: Path) -> None:
    kept = tmp_path / "bundles" / "knee"
    kept.parent.mkdir()
    write_bundle(kept, BUNDLE, None)
    out = tmp_path / "knee-trained"
    shutil.copytree(kept, out / "bundle")
    (out / "checkpoints").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "picture.png").touch()
    (tmp_path / "runs" / "first").mkdir(parents=True)
    (tmp_path / "runs" / "first" / "ledger.db").touch()
    for named, meant in (
        (tmp_path / "bundles" / "kne", f"Did you mean {str(kept)!r}?"),
        (tmp_path / "bundles", f"Did you mean one of those in it, as {str(kept)!r}?"),
        (kept / "bundle.json", f"Did you mean {str(kept)!r}, in which it lies?"),
        (out / "checkpoints", f"Did you mean {str(out / 'bundle')!r}, the bundle of the training there?"),
        (tmp_path / "bundle" / "knee", f"Did you mean {str(kept)!r}?"),
        (tmp_path / "data=digits", "The bundle comes before SETTING=VALUE."),
        (tmp_path / "picture.png", "it is a file, expected the directory that an export or a training wrote."),
        (
            tmp_path / "runs" / "first",
            f"nas/export.py first --pick knee --runs-dir {tmp_path}/runs writes a bundle of it.",
        ),
        (tmp_path / "bundles" / "other", "No such file or directory."),
        (tmp_path / "empty", "No such file or directory."),
        (tmp_path / "none" / "none", "No such file or directory."),
    ):
        with pytest.raises(UserError) as caught:
            read_bundle(named)
        assert str(caught.value).startswith(f"{str(named)!r} is no bundle: ") and str(caught.value).endswith(meant)


def test_a_bundle_without_weights_names_that_of_its_training(tmp_path: Path) -> None:
    write_bundle(tmp_path / "knee", BUNDLE, None)
    with pytest.raises(UserError, match=r"knee' holds no weights.*trainers/train.py .*knee trains its network"):
        read_weights(tmp_path / "knee")
    write_bundle(tmp_path / "knee-trained" / "bundle", BUNDLE, None)
    with pytest.raises(UserError, match=r"knee' holds no weights.* Did you mean '.*/knee-trained/bundle', the bundle"):
        read_weights(tmp_path / "knee")


def test_the_name_of_a_search_is_said_to_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "first").mkdir(parents=True)
    (tmp_path / "runs" / "first" / "ledger.url").touch()
    for named in ("first", "runs/first"):
        with pytest.raises(UserError, match=r"'first' is a search: python .*nas/export.py first --pick knee writes"):
            read_bundle(Path(named))


def one_line(error: pytest.ExceptionInfo[UserError]) -> None:
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["bundle.json", "weights.safetensors"])
def test_every_truncation_and_every_flipped_bit_is_one_line(written: Path, name: str) -> None:
    content = (written / name).read_bytes()
    damages = [content[:length] for length in range(0, len(content), 7)]
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << (place % 8)
        damages.append(bytes(flipped))
    for damaged in damages:
        (written / name).write_bytes(damaged)
        with pytest.raises(UserError) as caught:
            read_bundle(written) if name == "bundle.json" else read_weights(written)
        one_line(caught)


@pytest.mark.parametrize("name", ["bundle.json", "weights.safetensors"])
def test_a_missing_file_is_named(written: Path, name: str) -> None:
    (written / name).unlink()
    with pytest.raises(UserError, match=name) as caught:
        read_weights(written)
    one_line(caught)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"[" * 100_000, b"\xff\xfe", b'{"format": "bundle/2"}', b'{"format": NaN}', b"1e999"]
)
def test_other_files_are_no_bundle(written: Path, content: bytes) -> None:
    (written / "bundle.json").write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_bundle(written)
    one_line(caught)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda document: document.update(note="x"), "unknown key .* 'note'"),
        (lambda document: document.pop("recipe"), "missing recipe"),
        (lambda document: document["recipe"].update(epoch=1), "unknown key of recipe 'epoch'"),
        (lambda document: document["recipe"].update(epochs="1"), "recipe.epochs is '1'"),
        (lambda document: document["data"].update(name="digit"), "unknown data set 'digit'"),
        (lambda document: document["data_summary"].pop("classes"), "data_summary: missing classes"),
        (lambda document: document["architecture"].update(stem="x"), "unknown stem 'x'"),
        (lambda document: document.update(provenance=[]), "provenance: expected an object"),
        (lambda document: document["provenance"].update(trail=1), "unknown key of provenance 'trail'.*'trial'"),
        (lambda document: document["provenance"].pop("search_id"), "provenance: missing search_id"),
        (lambda document: document["provenance"].update(trial="42"), "provenance.trial is '42'"),
        (lambda document: document["provenance"].update(full_training=3), "expected an object or null"),
        (lambda document: document["provenance"].update(val_accuracy=97.2), "expected 0 to 1"),
        (lambda document: document["provenance"]["inference"].pop("batch"), "inference: missing batch"),
        (lambda document: document["provenance"]["search_training"].pop("epochs"), "recipe: missing epochs"),
        (lambda document: document["provenance"]["search_data"].pop("classes"), "data_summary: missing classes"),
        (lambda document: document.update(files=3), "files: expected an object"),
        (lambda document: document["files"].pop("README.md"), "files: missing README.md"),
        (lambda document: document.update(files={"../weights": "0"}), "unknown key .*weights"),
        (lambda document: document.update(format="bundle/9"), "expected 'bundle/2'; a newer version of this project r"),
        (
            lambda document: document.update(format="bundle/10"),
            "expected 'bundle/2'; a newer version of this project r",
        ),
        (lambda document: document.update(format="bundle/x"), "format 'bundle/x': expected .*export it again"),
        (lambda document: document["recipe"].update(sparkle=1), "json' is of another version .* unknown key of recipe"),
        (lambda document: document.update(format="bundle/1"), "format 'bundle/1': expected .*export it again"),
    ],
)
def test_contents_are_read_strictly(written: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
    rewrite(written, change)
    with pytest.raises(UserError, match=message) as caught:
        read_bundle(written)
    one_line(caught)


def weights_digest(digest: str) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["files"].update({"weights.safetensors": digest})


def test_weights_that_are_none_are_refused_even_with_a_right_checksum(written: Path) -> None:
    for content in (b"", b"no tensors", safetensors.torch.save({"a": torch.ones(3)})[:-1]):
        (written / "weights.safetensors").write_bytes(content)
        rewrite(written, weights_digest(hashlib.sha256(content).hexdigest()))
        with pytest.raises(UserError, match="holds no weights") as caught:
            read_weights(written)
        one_line(caught)
