"""What a worker does with a trial: trains it and reports each epoch to Ray Tune."""

import functools
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from ray import tune

from search_spaces.architecture import Architecture
from trainers.checkpoint import newest_sound_checkpoint, save_checkpoint
from trainers.data import DataConfig, DataSummary, load_train_validation
from trainers.images import Images
from trainers.loop import Diverged, EpochResult, Training
from trainers.model import seeded_model
from trainers.recipe import Recipe


def train_trial(config: Mapping[str, Any]) -> None:
    """Trains the trial of `config` (see `nas.searcher.trial_config`), one report an epoch.

    A trial that cannot go on reports {"ended": outcome, "reason": …} and leaves its worker alive for the next one.
    """
    try:
        for result in trained_epochs(config):
            tune.report(result.to_json())
    except Diverged as error:
        tune.report({"ended": "diverged", "reason": str(error)})
    except Exception as error:
        directory = Path(config["checkpoints"])
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
        reason = str(error).strip().splitlines() or [""]
        tune.report({"ended": "failed", "reason": f"{type(error).__name__}: {reason[0]}"})


def trained_epochs(config: Mapping[str, Any]) -> Iterator[EpochResult]:
    """Every epoch that the ledger does not hold yet, each one checkpointed before it is yielded.

    Goes on from the newest sound checkpoint of the trial. Epochs that were checkpointed but never recorded are yielded
    again from the checkpoint; recorded ones that have to be trained again are not yielded twice.
    """
    torch.set_num_threads(config["threads"])
    data = DataConfig.from_json(config["data"])
    summary = DataSummary.from_json(config["data_summary"])
    directory = Path(config["checkpoints"])
    model = seeded_model(Architecture.from_json(config["architecture"]), summary, config["seed"])
    train, validation = _parts(data)
    training = Training(
        model,
        train,
        validation,
        Recipe.from_json(config["training"]),
        seed=config["seed"],
        device=torch.device(config["device"]),
    )
    results: list[EpochResult] = []
    checkpoint = newest_sound_checkpoint(directory)
    if checkpoint is not None:
        _, state = checkpoint
        training.load_state_dict(state["training"])
        results = [EpochResult(**result) for result in state["results"]]
        yield from results[config["recorded_epochs"] :]
    for result in training.epochs():
        results.append(result)
        state = {"training": training.state_dict(), "results": [past.to_json() for past in results]}
        save_checkpoint(directory, result.epoch, state)
        if result.epoch > config["recorded_epochs"]:
            yield result


@functools.lru_cache(maxsize=1)
def _parts(data: DataConfig) -> tuple[Images, Images]:
    """The data of a search, read once for all trials of a worker."""
    return load_train_validation(data)
