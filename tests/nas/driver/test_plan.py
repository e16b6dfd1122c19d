import io
import re

import pytest
from rich.console import Console

from nas.driver.checks import check_reachable
from nas.driver.plan import print_plan
from nas.records.cost_limits import NO_LIMITS, CostLimits
from search_spaces.errors import UserError
from search_spaces.space import Space
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
