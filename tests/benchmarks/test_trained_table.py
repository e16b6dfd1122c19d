"""The table of trained networks: whole rows, gone on with where it was cut off, and made of one recipe only."""

import csv
from itertools import islice
from pathlib import Path

import pytest

from nas.driver.command_line import read_command
from search_spaces.architecture import Architecture
from tests.benchmarks.trained_table import main, tasks

SMALL = ["data=digits", "space.depth=[14]", "space.width=[0.0625]", "space.stages.operator=[convolution]"]
SHORT = [*SMALL, "training.epochs=2", "training.warmup_epochs=0"]


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()[1:]))


@pytest.mark.slow
def test_an_interrupted_table_goes_on_with_the_same_trainings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "table.csv"
    command = ["--out", str(out), "--processes", "1", "--trainings", "2", *SHORT]
    assert main(command) == 0
    whole = out.read_text(encoding="utf-8")
    rows = rows_of(out)
    assert [row["seed"] for row in rows] == ["0", "1"] and len({row["architecture"] for row in rows}) == 1
    assert rows[0]["val_accuracy_2"] != rows[1]["val_accuracy_2"]
    assert all(0 < float(row["test_accuracy"]) <= 100 and float(row["epoch_seconds"]) > 0 for row in rows)

    out.write_text(whole[:-30], encoding="utf-8")
    assert main(command) == 0
    again = rows_of(out)
    assert [{**row, "epoch_seconds": ""} for row in again] == [{**row, "epoch_seconds": ""} for row in rows]

    capsys.readouterr()
    assert main([*command, "training.learning_rate=0.5"]) == 2
    assert "another space, data or recipe" in capsys.readouterr().err
    assert rows_of(out) == again


def test_what_is_trained_first_is_a_sample_of_the_space_a_fourth_of_it_twice() -> None:
    space = read_command(["--space", "resnet_stages"]).space
    first = list(islice(tasks(space), 500))
    architectures = [task.architecture for task in first if task.seed == 0]
    assert len(architectures) == len({architecture.id for architecture in architectures}) == 400
    assert [task.architecture for task in first if task.seed == 1] == architectures[::4]
    assert first[:50] == list(islice(tasks(space), 50))

    def share(stage: int) -> float:
        return sum(is_attention(architecture, stage) for architecture in architectures) / len(architectures)

    # Each choice is uniform: 4.9 standard errors of a share of one half.
    assert all(abs(share(stage) - 0.5) < 4.9 * (0.25 / 400) ** 0.5 for stage in range(4))


def is_attention(architecture: Architecture, stage: int) -> bool:
    return architecture.stages[stage][0].to_json()["operator"] == "attention"
