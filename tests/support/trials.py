"""Trials as a worker gets them."""

from typing import Any

from nas.workers.trial_config import TrialConfig
from search_spaces.architecture import Architecture, Convolution
from tests.support.searches import DIGITS
from trainers.data.config import DATA_DEFAULTS, KnownFiles
from trainers.recipe_files import full_training


def trial_config(**changes: object) -> TrialConfig:
    """A small convolutional network on digits, trained from the start."""
    fields: dict[str, Any] = {
        "node": "0",
        "number": 0,
        "architecture": Architecture("convolution", 8, ((Convolution(),),) * 4),
        "seed": 1,
        "recorded_epochs": 0,
        "data": DATA_DEFAULTS["digits"],
        "data_summary": DIGITS,
        "known_files": KnownFiles("data.index", ""),
        "training": full_training("digits"),
        "checkpoints": "checkpoints",
        "device": "cpu",
        "threads": 1,
        "checkpoint_seconds": 600.0,
        "processes": 1,
        "gpu_memory_share": 1.0,
        "latency_reference": None,
        "weights": None,
    }
    return TrialConfig(**(fields | changes))
