"""Trials and spaces that the tests of the search share."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy
import yaml

from nas.records.trial import Outcome, TrialRecord
from nas.settings.header import SearchHeader
from nas.settings.search_settings import SearchSettings
from search_spaces import space as space_module
from search_spaces.architecture import Architecture, Attention, Convolution
from search_spaces.space import Space
from search_spaces.space_reading import space_from_mapping
from trainers.data.config import DATA_DEFAULTS, DataSummary
from trainers.epoch_result import EpochResult
from trainers.recipe_files import full_training

DIGITS = DataSummary("digits", 10, 1, 16, 1000, 400, 397)


def shipped_space(name: str = "resnet_stages", **changes: object) -> Space:
    path = Path(space_module.__file__).with_name(f"{name}.yaml")
    return space_from_mapping(name, yaml.safe_load(path.read_text(encoding="utf-8")) | changes)


def tiny_space() -> Space:
    """16 architectures: convolution or one kind of attention in each of four stages."""
    stages = {
        "operator": ["convolution", "attention"],
        "spatial_extent": [3],
        "heads": [2],
        "positional_encoding": ["none"],
    }
    return shipped_space(stem=["convolution"], depth=[14], width=[0.125], stages=stages)


@contextlib.contextmanager
def unsynchronised_sqlite() -> Iterator[None]:
    """For ledgers that need not survive a power cut: writing them takes a tenth of the time."""

    def unsynchronised(connection: Any, record: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    sqlalchemy.event.listen(sqlalchemy.engine.Engine, "connect", unsynchronised)
    yield
    sqlalchemy.event.remove(sqlalchemy.engine.Engine, "connect", unsynchronised)


def search_settings(**changes: object) -> SearchSettings:
    settings: dict[str, Any] = {
        "trials": 8,
        "sampler": "random",
        "scheduler": "pareto",
        "minimum_epochs": 1,
        "reduction_factor": 3,
        "seed": 0,
        "max_flops": None,
        "max_params": None,
        "max_latency_ms": None,
        "time_budget": None,
        "min_accuracy": None,
        "epochs": None,
        "stagnation": None,
        "replicates": 1,
        "confirm_front": 1,
        "hung_after": None,
        "checkpoint_minutes": 10.0,
        "objectives": ("val_accuracy", "flops"),
        "keep_checkpoints": "front",
        "deterministic": False,
        "inference_batch": 1,
        "prior": (),
        "inherit": False,
    }
    settings |= changes
    # As JSON they are lists.
    return SearchSettings(**(settings | {name: tuple(settings[name]) for name in ("objectives", "prior")}))


def search_header(**changes: object) -> SearchHeader:
    """What a small search on digits was started with."""
    fields: dict[str, Any] = {
        "space": tiny_space(),
        "space_file": None,
        "data": DATA_DEFAULTS["digits"],
        "training": dataclasses.replace(full_training("digits"), epochs=2),
        "search": search_settings(),
        "data_summary": DIGITS,
        "slots": 1,
        "code_revision": "unknown",
    }
    return SearchHeader(**(fields | changes))


def epoch_result(epoch: int, val_accuracy: float = 0.5) -> EpochResult:
    return EpochResult(epoch, 1.0 / epoch, 1.1 / epoch, val_accuracy, 0.1, 2.0)


def trial_record(
    number: int,
    accuracies: Sequence[float] = (0.5,),
    flops: int = 1_000_000,
    outcome: Outcome = "finished",
    **changes: object,
) -> TrialRecord:
    """A trial with one epoch for each accuracy; its architecture depends on its number."""
    attention = Attention(3 + 2 * (number % 5), 2, "relative" if number % 2 else "none")
    stages = ((Convolution(),), (attention,), (Convolution(), attention), (attention,))
    fields: dict[str, Any] = {
        "number": number,
        "architecture": Architecture("convolution", 8 * (1 + number // 10), stages),
        "flops": flops,
        "params": 1000 + number,
        "seed": number,
        "outcome": outcome,
        "epochs": tuple(epoch_result(index + 1, accuracy) for index, accuracy in enumerate(accuracies)),
        "started_at": 1000.0 + number,
        "finished_at": 1060.0 + number,
    }
    return TrialRecord(**(fields | changes))


def slow_attention_ms(architecture: Architecture) -> float:
    """A latency that FLOPs do not tell: blocks of attention take the longer the earlier their stage and the wider."""
    milliseconds = 0.2
    for stage, blocks in enumerate(architecture.stages):
        for block in blocks:
            milliseconds += (0.5 + 0.1 * block.spatial_extent) / (1 + stage) if isinstance(block, Attention) else 0.1
    return milliseconds * (1 + architecture.base_channels / 32)
