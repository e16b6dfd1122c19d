"""What signals are measured by: correlations given others, and what a feature adds to the surrogate's forecasts."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm, rankdata, spearmanr
from threadpoolctl import threadpool_limits

from search_spaces.errors import UserError
from tests.benchmarks.added_signals import forecast, scaled_ranks, score, splits, with_signal
from tests.benchmarks.trained_networks import read_trained_networks
from tests.benchmarks.zero_cost import computed, main, partial_spearman
from tests.benchmarks.zero_cost_proxies import PROXIES
from tests.support.trained_tables import made_up_table

RNG = np.random.default_rng(0)


def test_a_partial_correlation_is_that_of_the_inverse_of_all() -> None:
    given, other = RNG.standard_normal((2, 60))
    ones, others = given + other + RNG.standard_normal(60), given - other + RNG.standard_normal(60)
    inverse = np.linalg.inv(np.corrcoef([rankdata(values) for values in (ones, others, given, other)]))
    expected = -inverse[0, 1] / math.sqrt(inverse[0, 0] * inverse[1, 1])
    assert partial_spearman(ones, others, [given, other]) == pytest.approx(expected)


def test_the_score_is_that_of_a_normal() -> None:
    mean, deviation, truth = np.array([-2.0, -1.0, 0.5]), np.array([0.3, 1.0, 0.1]), np.array([-1.5, -1.2, 0.5])
    found = score(mean, deviation, truth)
    normals = [norm(*values) for values in zip(mean, deviation, strict=True)]

    def crps(of: norm, at: float) -> float:
        below = quad(lambda value: of.cdf(value) ** 2, -12, at)[0]
        return below + quad(lambda value: (1 - of.cdf(value)) ** 2, at, 12)[0]

    assert found.log_density == pytest.approx(np.mean([of.logpdf(at) for of, at in zip(normals, truth, strict=True)]))
    assert found.crps == pytest.approx(np.mean([crps(of, at) for of, at in zip(normals, truth, strict=True)]), rel=1e-5)
    assert found.spearman == pytest.approx(1.0)


def test_ranks_are_even_between_0_and_1_whatever_the_scale() -> None:
    assert scaled_ranks(np.array([3.0, -math.inf, 1e30, 3.0])).tolist() == [0.5, 0.0, 1.0, 0.5]


def test_a_signal_adds_what_it_tells_and_a_shuffled_one_nothing() -> None:
    features, signal = RNG.uniform(size=(60, 3)), RNG.uniform(size=60)
    groups = np.arange(3)
    log_errors = -2 + features[:, 0] + signal + 0.02 * RNG.standard_normal(60)
    gains = {"told": np.zeros(3), "shuffled": np.zeros(3)}
    with threadpool_limits(1):
        for known in splits(60, 30, 8):
            assert len(set(known.tolist())) == 30
            before = forecast(features, groups, log_errors, known)
            for name, values in (("told", signal), ("shuffled", RNG.permutation(signal))):
                after = forecast(*with_signal(features, groups, values), log_errors, known)
                gains[name] += [after.log_density - before.log_density, before.crps - after.crps, after.spearman]
    assert (gains["told"] / 8 > [0.8, 0.1, 0.95]).all(), gains
    assert (gains["shuffled"] / 8 < [0.05, 0.01, 0.8]).all(), gains


def test_networks_are_those_of_their_rows(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    ids = made_up_table(path, 12)
    text = path.read_text(encoding="utf-8")
    path.write_text(text + text.splitlines()[-1][:60], encoding="utf-8")
    found = read_trained_networks(path)
    assert [network.architecture.id for network in found.networks] == ids
    first, *_ = rows = list(csv.DictReader(text.splitlines()[1:]))
    assert [rows[1]["architecture"], rows[1]["seed"]] == [first["architecture"], "1"]
    network = found.networks[0]
    assert network.accuracies[0] == float(first["val_accuracy_1"]) / 100
    finals = [float(row["val_accuracy_5"]) / 100 for row in rows[:2]]
    assert network.final_accuracy == pytest.approx(sum(finals) / 2)
    assert [network.candidate.flops, network.candidate.params] == [float(first["flops"]), float(first["params"])]
    chosen = {name: str(value) for name, value in network.candidate.choices.items()}
    written = {name.removeprefix("choice_"): value for name, value in first.items() if name.startswith("choice_")}
    # What leaves no choice has no column.
    assert {name: value for name, value in chosen.items() if name in written} == {
        name: value for name, value in written.items() if value
    }

    path.write_text(text.replace(ids[1], "0123456789ab"), encoding="utf-8")
    with pytest.raises(UserError, match="'0123456789ab': its choices make '" + ids[1]):
        read_trained_networks(path)


def test_what_is_computed_is_not_computed_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two of them take a second.
    few = {name: PROXIES[name] for name in ("NASWOT", "SynFlow")}
    monkeypatch.setattr("tests.benchmarks.zero_cost.PROXIES", few)
    table, values = tmp_path / "table.csv", tmp_path / "proxies.csv"
    ids = made_up_table(table, 25)
    command = [str(table), "--computed", str(values), "--splits", "2"]
    assert main(command) == 0
    rows = computed(values)
    of_one = [("as they start", "NASWOT"), ("as they start", "SynFlow"), ("open", "NASWOT")]
    assert [(row["architecture"], row["blocks"], row["proxy"]) for row in rows] == [
        (id, *which) for id in ids for which in of_one
    ]
    printed = capsys.readouterr().out
    assert f"{len(ids)} networks; the best third are {len(ids) // 3}" in printed
    table_rows = [float(row["value"]) for row in rows if (row["blocks"], row["proxy"]) == of_one[0]]
    finals = [network.final_accuracy for network in read_trained_networks(table).networks]
    line = next(line for line in printed.splitlines() if line.startswith("NASWOT, as they start"))
    assert float(line.split()[4]) == pytest.approx(spearmanr(table_rows, finals).statistic, abs=0.005)
    assert f"from 10 networks the other {len(ids) - 10}, 2 splits" in printed and "shuffled" in printed

    # Were it computed again, the file would grow, or change.
    kept = values.read_text(encoding="utf-8")
    assert main(command) == 0 and values.read_text(encoding="utf-8") == kept
