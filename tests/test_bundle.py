"""Bundles: data that comes back equal, strict to read, and never taken where it is damaged."""

import dataclasses
import hashlib
import json

import pytest
import safetensors.torch
import torch

from search_spaces.architecture import Architecture, Attention, Convolution
from search_spaces.errors import UserError
from trainers.bundle import Bundle, read_bundle, read_weights, write_bundle
from trainers.data import DATA_DEFAULTS, DataSummary
from trainers.model import seeded_model
from trainers.recipe import FULL_TRAINING

ARCHITECTURE = Architecture("convolution", 8, ((Convolution(),), (Attention(3, 2, "relative"),)) * 2)
SUMMARY = DataSummary("digits", 10, 1, 16, 1079, 359, 359)
PROVENANCE = {"search": "näs-1", "trial": 42, "val_accuracy": 0.9721, "versions": {"torch": "2"}, "note": None}
BUNDLE = Bundle(ARCHITECTURE, FULL_TRAINING["digits"], DATA_DEFAULTS["digits"], SUMMARY, PROVENANCE)


@pytest.fixture
def written(tmp_path):
    directory = tmp_path / "found" / "knee"
    write_bundle(directory, BUNDLE, {"a": torch.arange(4.0), "b": torch.ones(2, 2, dtype=torch.int64)})
    return directory


def rewrite(directory, change) -> None:
    """The bundle with `change` made to its document and every checksum right, as someone might who knows the format."""
    document = json.loads((directory / "bundle.json").read_bytes())
    del document["checksum"]
    change(document)
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    document["checksum"] = hashlib.sha256(text.encode()).hexdigest()
    (directory / "bundle.json").write_text(json.dumps(document, indent=2) + "\n")


def test_bundle_and_weights_come_back(written):
    assert read_bundle(written) == BUNDLE
    weights = read_weights(written)
    assert torch.equal(weights["a"], torch.arange(4.0)) and torch.equal(weights["b"], torch.ones(2, 2).long())
    assert sorted(path.name for path in written.iterdir()) == ["bundle.json", "weights.safetensors"]
    assert [path.name for path in written.parent.iterdir()] == ["knee"]
    rewrite(written, lambda document: None)
    assert read_bundle(written) == BUNDLE


def test_a_network_is_rebuilt_with_the_same_output(tmp_path):
    model = seeded_model(ARCHITECTURE, SUMMARY, 3).eval()
    write_bundle(tmp_path / "bundle", BUNDLE, model.state_dict())
    bundle = read_bundle(tmp_path / "bundle")
    other = seeded_model(bundle.architecture, bundle.data_summary, 0).eval()
    images = torch.rand(2, 1, 16, 16)
    assert not torch.equal(model(images), other(images))
    other.load_state_dict(read_weights(tmp_path / "bundle"))
    assert torch.equal(model(images), other(images))


def test_an_existing_directory_is_refused(written):
    with pytest.raises(UserError, match="exists already"):
        write_bundle(written, BUNDLE, {})
    assert read_bundle(written) == BUNDLE


def test_a_failed_write_leaves_nothing(tmp_path):
    bundle = dataclasses.replace(BUNDLE, provenance={"object": object()})
    with pytest.raises(TypeError):
        write_bundle(tmp_path / "bundle", bundle, {"a": torch.ones(1)})
    with pytest.raises(ValueError):
        write_bundle(tmp_path / "bundle", dataclasses.replace(BUNDLE, provenance={"loss": float("nan")}), {})
    assert not list(tmp_path.iterdir())


def one_line(error) -> None:
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["bundle.json", "weights.safetensors"])
def test_every_truncation_and_every_flipped_bit_is_one_line(written, name):
    content = (written / name).read_bytes()
    damages = [content[:length] for length in range(0, len(content), 7)]
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        damages.append(bytes(damaged))
    for damaged in damages:
        (written / name).write_bytes(damaged)
        with pytest.raises(UserError) as caught:
            read_weights(written)
        one_line(caught)
        if name == "bundle.json":
            with pytest.raises(UserError) as caught:
                read_bundle(written)
            one_line(caught)


@pytest.mark.parametrize("name", ["bundle.json", "weights.safetensors"])
def test_a_missing_file_is_named(written, name):
    (written / name).unlink()
    with pytest.raises(UserError, match=name) as caught:
        read_weights(written)
    one_line(caught)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"[" * 100_000, b"\xff\xfe", b'{"format": "bundle/2"}', b'{"format": NaN}', b"1e999"]
)
def test_other_files_are_no_bundle(written, content):
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
        (lambda document: document["recipe"].update(epochs="1"), "recipe epochs is '1'"),
        (lambda document: document["data"].update(name="digit"), "unknown data set 'digit'"),
        (lambda document: document["data_summary"].pop("classes"), "data_summary: missing classes"),
        (lambda document: document["architecture"].update(stem="x"), "unknown stem 'x'"),
        (lambda document: document.update(provenance=[]), "provenance: expected an object"),
        (lambda document: document.update(files={"../weights": "0"}), "unknown key .*weights"),
        (lambda document: document.update(format="bundle/9"), "format 'bundle/9': expected 'bundle/1'"),
    ],
)
def test_contents_are_read_strictly(written, change, message):
    rewrite(written, change)
    with pytest.raises(UserError, match=message) as caught:
        read_bundle(written)
    one_line(caught)


def test_weights_that_are_none_are_refused_even_with_a_right_checksum(written):
    for content in (b"", b"no tensors", safetensors.torch.save({"a": torch.ones(3)})[:-1]):
        (written / "weights.safetensors").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        rewrite(written, lambda document, digest=digest: document["files"].update({"weights.safetensors": digest}))
        with pytest.raises(UserError, match="holds no weights") as caught:
            read_weights(written)
        one_line(caught)
