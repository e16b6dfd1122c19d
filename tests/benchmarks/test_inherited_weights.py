"""Short trainings from a parent's weights: the nearest parent, the whole schedule, and nothing trained twice."""

import csv
import dataclasses
import math
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from search_spaces.resnet import ResNet
from tests.benchmarks.inheritance import inherit, inherited_share
from tests.benchmarks.inherited_weights import SHORT_SEED, children_of, main, short_recipe, untrained
from tests.benchmarks.rank_agreements import spread
from tests.benchmarks.trained_networks import read_trained_networks
from tests.benchmarks.trained_table import tasks
from tests.support.trained_tables import made_up_table
from trainers.data.datasets import load_train_validation
from trainers.loop import Training
from trainers.model import seeded_model
from trainers.recipe_files import full_training
from trainers.schedule import learning_rate_at


def test_a_short_schedule_is_the_whole_one() -> None:
    recipe = dataclasses.replace(full_training("digits"), epochs=20, warmup_epochs=2.0)
    short = short_recipe(recipe, 10, 0.5)
    rates = [learning_rate_at(recipe, step, 20) for step in range(400)]
    half = [learning_rate_at(short, step, 20) for step in range(200)]
    assert half[:20] == pytest.approx([rate / 2 for rate in rates[1:40:2]])
    assert half[20:] == pytest.approx([rate / 2 for rate in rates[40::2]])


def test_the_standard_error_of_a_mean_is_its_deviation_by_the_root_of_the_number() -> None:
    values_N = np.random.default_rng(0).standard_normal(50)
    found = spread(lambda drawn: float(values_N[drawn].mean()), 50)
    assert found.std() == pytest.approx(values_N.std() / math.sqrt(50), rel=0.06)
    assert found.mean() == pytest.approx(values_N.mean(), abs=0.02)


def test_the_parent_of_a_child_is_that_of_which_it_inherits_most(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    made_up_table(path, 20)
    table = read_trained_networks(path)
    parents = [task.architecture for task in islice(tasks(table.space), 7) if task.seed == 0]
    children = children_of(table, parents, 6)
    following = [network for network in table.networks if network.architecture not in parents]
    assert [child.network for child in children] == following[:6]
    for child in children:
        model = untrained(table, child.network.architecture)
        shares = {
            parent.id: inherited_share(model, untrained(table, parent), "blocks", table.summary).params
            for parent in parents
        }
        assert shares[child.parent.id] == max(shares.values()) == child.shares["blocks"].params
        assert child.shares["tensors"].params >= child.shares["blocks"].params
    assert len({child.parent.id for child in children}) > 1


@pytest.mark.slow
def test_children_are_trained_from_what_their_parents_learned_and_no_training_is_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, folder = tmp_path / "table.csv", tmp_path / "trained"
    made_up_table(path, 8)
    command = ["--table", str(path), "--folder", str(folder), "--parents", "3", "--children", "3", "--epochs", "1"]
    assert main([*command, "--starts", "scratch", "blocks"]) == 0
    printed = capsys.readouterr().out
    assert "3 children" in printed and "long training, epoch 5" in printed and "blocks, 1 epochs" in printed
    text = (folder / "short_trainings.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["start"] for row in rows] == ["scratch"] * 3 + ["blocks"] * 3

    table = read_trained_networks(path)
    parents = [task.architecture for task in islice(tasks(table.space), 4) if task.seed == 0]
    child = children_of(table, parents, 1)[0]
    train, validation = load_train_validation(table.data)
    parent = cast(ResNet, seeded_model(child.parent, table.summary, 0))
    parent.load_state_dict(torch.load(folder / f"{child.parent.id}.pt", weights_only=True))
    long = Training(parent, train, validation, table.recipe, seed=0, device="cpu")
    assert f"parent {long.evaluate(validation)[1]:.2%}" in printed
    heir = inherit(untrained(table, child.network.architecture), parent, "blocks")
    short = Training(heir, train, validation, short_recipe(table.recipe, 1, 1.0), seed=SHORT_SEED, device="cpu")
    (result,) = short.epochs()
    assert float(rows[3]["accuracy"]) == result.val_accuracy != float(rows[0]["accuracy"])

    assert main([*command, "--starts", "scratch", "blocks"]) == 0
    assert (folder / "short_trainings.csv").read_text(encoding="utf-8") == text
    assert "parent" not in capsys.readouterr().out.partition("children")[0]
