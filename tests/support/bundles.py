"""Where a network comes from, as the tests of bundles share it."""

from typing import Any

from trainers.bundle.provenance import Provenance
from trainers.data.config import DataSummary
from trainers.inference_cost import InferenceCost
from trainers.recipe_files import full_training

SUMMARY = DataSummary("digits", 10, 1, 16, 1079, 359, 359)


def inference_cost(**changes: object) -> InferenceCost:
    fields: dict[str, Any] = {
        "latency_ms": 1.25,
        "latency_spread_ms": 0.5,
        "peak_memory_mb": 3.5,
        "device": "A Processor",
        "threads": 1,
        "batch": 1,
        "image_size": 16,
        "precision": "float32",
        "attention_backend": "numba",
        "torch_version": "2.13.0",
        "runs": 30,
        "rounds": 3,
    }
    fields |= changes
    return InferenceCost(**({"latency_low_ms": fields["latency_ms"], "latency_high_ms": fields["latency_ms"]} | fields))


def provenance(**changes: object) -> Provenance:
    fields: dict[str, Any] = {
        "search": "näs-1",
        "search_id": "0123456789abcdef",
        "pick": "knee",
        "trial": 42,
        "seed": 7,
        "search_seed": 3,
        "code_revision": "96e04f6db345",
        "torch_version": "2.13.0",
        "search_training": full_training("digits").to_json(),
        "search_data": SUMMARY.to_json(),
        "epochs": 18,
        "train_loss": 0.31,
        "val_loss": 0.25,
        "val_accuracy": 0.9721,
        "flops": 3_482_624,
        "params": 129_858,
    }
    return Provenance(**(fields | changes))
