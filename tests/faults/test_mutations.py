"""Mutated command lines, names, spaces, architectures and bundles: each is taken or refused in one line.

Nothing hangs, no other exception comes out, nothing is written, and what is taken says what was supplied.
"""

import hashlib
import json
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nas.driver.command_line import read_command
from nas.records.selection import pick
from nas.settings.run_directory import existing_run, run_directory
from nas.settings.space_files import SPACE_DIRECTORY, space_mapping
from search_spaces.architecture import Architecture
from search_spaces.errors import UserError
from search_spaces.space_reading import space_from_mapping
from tests.support.bundles import SUMMARY, inference_cost, provenance
from tests.support.searches import shipped_space, trial_record
from trainers.bundle.contents import Bundle
from trainers.bundle.document import read_bundle
from trainers.bundle.files import read_model, write_bundle
from trainers.data.config import DATA_DEFAULTS
from trainers.full.train_settings import settings_of
from trainers.model import seeded_model
from trainers.recipe_files import full_training

# One reading takes milliseconds, and on a busy machine less than this.
LIMIT_SECONDS = 20
# How many mutations of each of the eight kinds.
FEW, MANY = 38, 1250

TEXTS = (
    "", "../x", "../../etc/passwd", "/", "\0", "a\0b", "x" * 5000, "[" * 3000, "{" * 300, "null", "~", "true", "NaN",
    ".nan", ".inf", "-1", "0", "1e999", "-1e-9", "9" * 400, "9" * 5000, "2001-99-99", "0x_", "1_000", "${oc.env:HOME}",
    "???", "é", "\u202e", "\ufeff", "٣", "\ud7ff", "🙂" * 50, "\n", "\r", "\t", " ", "'", '"', "=", "==", ",", ":",
    "&a [*a]", "*a", "!!python/object/apply:os.system ['true']", "!!int x", "<<: 1", "- ", "#", "%", "\\", "@", "-h",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 2**100, 10**400, -(2**63), 0.5, 1e308, float("nan"), float("inf"), float("-inf"),
    "", "x", "../x", "\0", "x" * 5000, "\n", "é🙂", [], [[]], {}, {"a": {"b": []}}, [None], [1, 2],
)  # fmt: skip

COMMAND = [
    "--space", "resnet_stages", "--trials", "7", "--max-flops", "2e9", "--name", "first", "data=cifar10",
    "training.epochs=3", "search.sampler=tpe", "space.depth=[14,26]", "space.stages.heads=[2,4]",
    "search.time_budget=30m", "cluster.gpus_per_trial=0.5", "--seed=4", "tracking.experiment=found",
]  # fmt: skip
TRAIN_OVERRIDES = ["data=cifar10", "recipe.epochs=5", "recipe.learning_rate=0.1", "data.root=images"]
PICKS = ["knee", "accuracy", "max-flops=2e9", "max-params=5e6", "max-latency=10", "trial=3"]


def mutated(text: str, rng: random.Random) -> str:
    """`text` with one to three pieces taken out, put in twice, replaced or altered."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        first, last = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        last = min(last, first + rng.choice((1, 3, 30)))
        piece = text[first:last]
        flipped = "".join(chr(ord(character) ^ 1 << rng.randrange(7)) for character in piece)
        changed = rng.choice(("", piece * 2, piece * 40, flipped, rng.choice(TEXTS), piece + rng.choice(TEXTS)))
        text = text[:first] + changed + text[last:]
    return text


def retyped(data: Any, rng: random.Random) -> Any:
    """JSON with one value, found by walking in at random, replaced, taken out, put in twice or renamed."""
    if not isinstance(data, (dict, list)) or not data or rng.random() < 0.1:
        return rng.choice(VALUES)
    copy: Any = dict(data) if isinstance(data, dict) else list(data)
    key: Any = rng.choice(list(copy)) if isinstance(copy, dict) else rng.randrange(len(copy))
    action = rng.randrange(6)
    if action == 0:
        del copy[key]
    elif action == 1 and isinstance(copy, dict):
        copy[mutated(key, rng)] = copy.pop(key)
    elif action == 1:
        copy.insert(key, copy[key])
    else:
        copy[key] = retyped(copy[key], rng)
    return copy


# What a process does to files, as the interpreter's own audit events tell it.
_WRITES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}
_RUNS = {"os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect"}
_watched: list[list[str]] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    # Another test's thread may still be at work.
    if not _watched or threading.current_thread() is not threading.main_thread():
        return
    opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if opened or event in _WRITES or event in _RUNS:
        _watched[-1].append(f"{event} {arguments[:2]}")


@pytest.fixture(scope="module", autouse=True)
def _audited() -> None:
    """A hook cannot be taken away again, so it looks whether anybody listens."""
    sys.addaudithook(_audit)


@contextmanager
def nothing_written() -> Iterator[None]:
    """Fails where the process writes a file, starts a program or connects to anything."""
    _watched.append([])
    try:
        yield
    finally:
        events = _watched.pop()
    assert events == []


def _too_long(number: int, frame: object) -> None:
    raise TimeoutError


@contextmanager
def time_limit() -> Iterator[None]:
    previous = signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(LIMIT_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def taken(read: Callable[[], Any], supplied: object) -> Any:
    """What `read` gives, or None where it refuses in one line."""
    try:
        with time_limit(), nothing_written():
            return read()
    except UserError as error:
        assert str(error) and "\n" not in str(error), supplied
        return None
    except SystemExit as end:  # A mutation that asks for help gets it.
        assert end.code == 0
        return None
    except BaseException as error:
        error.add_note(f"supplied: {supplied!r:.2000}")
        raise


many = pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])


@many
def test_command_lines(count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = random.Random(0)
    read_command(COMMAND)
    for _ in range(count):
        arguments = list(COMMAND)
        place = rng.randrange(len(arguments))
        arguments[place] = mutated(arguments[place], rng)
        # A process cannot be given these.
        if "\0" not in arguments[place]:
            command = taken(partial(read_command, arguments), arguments)
            if command is not None:
                taken(partial(run_directory, command.runs_dir, command.name), arguments)
    assert list(tmp_path.iterdir()) == []


@many
def test_names(count: int, tmp_path: Path) -> None:
    rng = random.Random(1)
    (tmp_path / "runs" / "first").mkdir(parents=True)
    (tmp_path / "runs" / "first" / "ledger.db").touch()
    for _ in range(count):
        name = mutated("first-2026.11", rng)
        for read in (run_directory, existing_run):
            directory = taken(partial(read, str(tmp_path / "runs"), name), name)
            if directory is not None:
                assert directory.path.resolve().parent == (tmp_path / "runs").resolve(), name
                assert directory.path.name == name


@many
def test_picks_and_overrides(count: int) -> None:
    rng = random.Random(2)
    records = [trial_record(number, flops=10**9 * (number + 1)) for number in range(4)]
    bundle = Bundle(records[0].architecture, full_training("digits"), DATA_DEFAULTS["digits"], SUMMARY, provenance())
    for _ in range(count):
        choice = mutated(rng.choice(PICKS), rng)
        taken(partial(pick, records, choice), choice)
        override = mutated(rng.choice(TRAIN_OVERRIDES), rng)
        taken(partial(settings_of, bundle, [override], 0), override)


@many
def test_space_files(count: int, tmp_path: Path) -> None:
    rng = random.Random(3)
    texts = [path.read_text(encoding="utf-8") for path in sorted(SPACE_DIRECTORY.glob("*.yaml"))]
    file = tmp_path / "mine.yaml"
    for _ in range(count):
        text = mutated(rng.choice(texts), rng)
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        found = taken(lambda: space_mapping(str(file)), text)
        if found is not None:
            space = taken(partial(space_from_mapping, *found), text)
            architecture = taken(partial(space.sample, rng), text)
            assert space.to_json() == space_from_mapping("mine", space.to_json()).to_json()
            assert Architecture.from_json(architecture.to_json()) == architecture


@many
def test_spaces_of_other_types(count: int) -> None:
    rng = random.Random(4)
    whole = shipped_space().to_json()
    for _ in range(count):
        mapping = retyped(whole, rng)
        if isinstance(mapping, dict):
            space = taken(partial(space_from_mapping, "mine", mapping), mapping)
            assert space is None or space_from_mapping("mine", space.to_json()) == space


@many
def test_architectures(count: int) -> None:
    rng = random.Random(5)
    space = shipped_space()
    for _ in range(count):
        data = retyped(space.sample(rng).to_json(), rng)
        architecture = taken(partial(Architecture.from_json, data), data)
        assert architecture is None or architecture.to_json() == data


@pytest.fixture(scope="module")
def bundle_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bundles") / "bundle"
    architecture = Architecture.from_json(shipped_space(width=[0.125], depth=[14]).anchors()[0].to_json())
    known = provenance(inference=inference_cost().to_json())
    bundle = Bundle(architecture, full_training("digits"), DATA_DEFAULTS["digits"], SUMMARY, known)
    write_bundle(directory, bundle, seeded_model(architecture, SUMMARY, 0).state_dict())
    return directory


@many
def test_bundle_files(count: int, bundle_directory: Path) -> None:
    rng = random.Random(6)
    for name in ("bundle.json", "weights.safetensors"):
        file = bundle_directory / name
        whole = file.read_bytes()
        for _ in range(count // 2):
            changed = mutated(whole.decode("latin-1"), rng).encode("utf-8", "surrogatepass")
            file.write_bytes(changed)
            assert taken(lambda: read_model(bundle_directory), changed) is None or changed == whole
        file.write_bytes(whole)
    assert read_model(bundle_directory) is not None


@many
def test_bundles_whose_checksum_was_made_right_again(count: int, bundle_directory: Path) -> None:
    rng = random.Random(7)
    file = bundle_directory / "bundle.json"
    whole = file.read_bytes()
    document = json.loads(whole)
    del document["checksum"]
    for _ in range(count):
        changed = retyped(document, rng)
        text = json.dumps(changed, sort_keys=True, separators=(",", ":"))
        sealed = (
            changed | {"checksum": hashlib.sha256(text.encode()).hexdigest()} if isinstance(changed, dict) else changed
        )
        file.write_text(json.dumps(sealed, indent=2) + "\n", encoding="utf-8")
        bundle = taken(lambda: read_bundle(bundle_directory), changed)
        if bundle is not None:
            for part in ("architecture", "recipe", "data", "data_summary", "provenance"):
                assert getattr(bundle, part).to_json() == changed[part], part
            # Only what says how large the network is could be too large to build.
            if (changed["architecture"], changed["data_summary"]) == (
                document["architecture"],
                document["data_summary"],
            ):
                taken(lambda: read_model(bundle_directory), changed)
    file.write_bytes(whole)
