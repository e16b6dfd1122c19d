import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from nas.driver.checks import check_reachable
from nas.driver.command_line import read_command
from nas.driver.plan import begins_with, print_plan
from nas.ledger.location import create_ledger
from nas.records.cost_limits import NO_LIMITS, CostLimits
from nas.settings.run_directory import run_directory
from search_spaces.errors import UserError
from search_spaces.space import Space
from tests.entries.test_report import HEADER, add_trial
from tests.support.searches import DIGITS, search_settings, shipped_space, tiny_space


def plan(space: Space | None = None, **settings: object) -> str:
    output = io.StringIO()
    print_plan(Console(file=output, width=160), space or shipped_space(), DIGITS, search_settings(**settings), 9)
    return output.getvalue()


def test_the_plan_says_what_would_be_searched_and_spent() -> None:
    text = plan(trials=40)
    assert f"{shipped_space().size():,} architectures" in text
    assert "R26 w8 · c C C C C" in text and text.count("sample") == 6
    assert "after 1, 3 epochs trials go on that may add enough to the front" in text
    assert re.search(r"^epochs +360 at most *$", text, re.MULTILINE) and "halving" not in text


def test_halving_on_accuracy_can_be_reckoned_beforehand() -> None:
    text = plan(trials=40, scheduler="asha")
    # 2 anchors of 9 epochs; 38 trials of 1, a third of them 2 more, a ninth 6 more.
    assert f"about {round(18 + 38 + 38 / 3 * 2 + 38 / 9 * 6)} if halving were exact, 360 at most" in text


def test_without_halving_the_epochs_are_a_product() -> None:
    text = plan(trials=10, scheduler="none")
    assert "every trial is trained to the end" in text
    assert re.search(r"^epochs +90 *$", text, re.MULTILINE)


def test_all_that_a_search_may_spend_and_end_by_is_in_its_plan() -> None:
    text = plan(trials=10, replicates=3, confirm_front=2, time_budget="1h", stagnation=4, min_accuracy=0.6)
    rows = dict(re.findall(r"^(\w+) +(.+?) *$", text, re.MULTILINE))
    assert rows["epochs"] == "270 at most"
    assert rows["repeats"] == "what is trained to the end 3 times, the front's members 2 times"
    assert rows["ends"] == "after 1h, or after 4 architectures that added next to nothing"
    assert rows["counts"] == "60% accuracy or more"
    limited = plan(trials=10, epochs=50, objectives=("val_accuracy", "latency_ms"), max_latency_ms=1.5)
    rows = dict(re.findall(r"^(\w+) +(.+?) *$", limited, re.MULTILINE))
    assert (rows["epochs"], rows["ends"], rows["counts"]) == ("50 at most", "after 50 epochs", "1.5 ms or less")
    assert not {"repeats", "ends", "counts"} & {line.split(" ")[0] for line in plan().splitlines()}


@pytest.mark.parametrize("scheduler", ["pareto", "none", "asha"])
def test_a_plan_counts_the_epochs_of_looks(scheduler: str) -> None:
    settings: dict[str, Any] = {"sampler": "ehvi", "trials": 10, "minimum_epochs": 5, "scheduler": scheduler}
    text = plan(inherit=True, **settings)
    # Two epochs more than the nine of each.
    assert re.search(r"^epochs +110 at most *$", text, re.MULTILINE)
    assert "is looked at first, for 2 epochs from its weights" in text and "inherits" not in plan(**settings)


def test_anchors_over_a_limit_are_not_said_to_be_trained_and_no_sample_is_shown_twice() -> None:
    space = tiny_space()
    anchors = [DIGITS.cost(anchor).params for anchor in space.anchors()]
    text = plan(space, max_params=float(max(anchors) - 1))
    assert text.count("over a limit: not trained") == sum(params == max(anchors) for params in anchors)
    assert "over a limit" not in plan(space)
    samples = [line for line in plan(space).splitlines() if line.startswith("sample")]
    assert len(samples) == len(set(samples)) == min(6, space.size())


def test_a_plan_says_what_a_search_has_already(tmp_path: Path) -> None:
    directory = run_directory(str(tmp_path), "one")
    ledger = create_ledger(directory, None, HEADER)
    for outcome in ("finished", "stopped", "finished"):
        add_trial(ledger, [0.5, 0.8], outcome)
    command = read_command(["--resume", "one", "--runs-dir", str(tmp_path), "--trials", "9"])
    assert begins_with(command, directory) == ["goes on with one, which has begun 3 architectures"]
    cheap = min(record.flops for record in ledger.records if record.outcome == "finished")
    fork = ["--resume", "one", "--fork", "two", "--runs-dir", str(tmp_path), "--max-flops", str(cheap)]
    said = ["1 result of one taken over; 1 left out, which the space or a limit rules out"]
    assert begins_with(read_command(fork), run_directory(str(tmp_path), "two")) == said
    new = read_command(["--space", "resnet_stages", "--runs-dir", str(tmp_path)])
    assert begins_with(new, run_directory(str(tmp_path), new.name)) == []


def test_samples_keep_the_limit() -> None:
    low, high = check_reachable(shipped_space(), DIGITS, NO_LIMITS)
    limit = low + 0.3 * (high - low)
    lines = [line for line in plan(max_flops=limit).splitlines() if line.startswith("sample")]
    units = {"kFLOPs": 1e3, "MFLOPs": 1e6}
    found = [float(line.split()[1]) * units[line.split()[2]] for line in lines]
    assert len(found) == 6 and max(found) <= limit * 1.01 and low <= min(found) * 1.01


def test_a_limit_below_everything_is_refused() -> None:
    lowest, _ = check_reachable(tiny_space(), DIGITS, NO_LIMITS)
    check_reachable(tiny_space(), DIGITS, CostLimits(float(lowest)))
    fewest = min(DIGITS.cost(anchor).params for anchor in tiny_space().anchors())
    check_reachable(tiny_space(), DIGITS, CostLimits(params=float(fewest)))
    with pytest.raises(UserError, match="--max-params is 7, and the smallest architecture of resnet_stages on 16² ima"):
        check_reachable(tiny_space(), DIGITS, CostLimits(params=7.0))
    # The architecture of the fewest FLOPs has stages of convolution, which take more parameters than attention.
    with pytest.raises(UserError, match="no architecture was found that is within both --max-flops"):
        check_reachable(tiny_space(), DIGITS, CostLimits(float(lowest), float(fewest)))
    check_reachable(tiny_space(), DIGITS, CostLimits(float(lowest), 1e9))
    with pytest.raises(UserError, match=f"has {lowest:,} FLOPs: expected at least that"):
        check_reachable(tiny_space(), DIGITS, CostLimits(lowest - 1.0))
