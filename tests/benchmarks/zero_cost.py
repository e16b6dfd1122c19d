"""What cheap signals tell of networks, and what they add to what the search knows anyway.

python tests/benchmarks/zero_cost.py TABLE.csv [--computed FILE.csv] [--splits 40]

TABLE is one of `trained_table.py`. The signals are zero-cost proxies of the untrained network and one batch, with
blocks as they start and with open ones (`zero_cost_proxies.with_open_blocks`); beside them FLOPs, parameters and the
accuracy after some epochs. What FILE holds is not computed again. Printed of each: Spearman's and Kendall's correlation
with the final accuracy, Spearman's given FLOPs and parameters and within the best third, and its CPU time as a share of
an epoch's. Then how much better the surrogate forecasts with it, from some networks the rest, ± the standard error over
the splits. Signals of no meaning show what chance brings, ± their standard deviation; FLOPs and parameters, which the
surrogate has already, what it brings to have them twice.
"""

import argparse
import csv
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from scipy.stats import kendalltau, rankdata, spearmanr
from threadpoolctl import threadpool_limits
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from nas.strategy.candidates import choice_domains
from nas.strategy.features import FeatureEncoder
from search_spaces.errors import UserError
from tests.benchmarks.added_signals import Array, forecast, splits, with_signal
from tests.benchmarks.trained_networks import TrainedNetwork, TrainedNetworks, read_trained_networks
from tests.benchmarks.zero_cost_proxies import PROXIES, synflow, with_open_blocks
from trainers.data.config import DataConfig
from trainers.data.datasets import load_train_validation
from trainers.model import seeded_model

EPOCHS = (1, 2, 5)
KNOWN = (10, 20, 40)
# Fewer than so many networks say nothing of forecasts.
FEWEST_FORETOLD = 5
COLUMNS = ("architecture", "blocks", "proxy", "value", "cpu_seconds")
AS_THEY_START, OPEN = "as they start", "open"
SHUFFLES = 20


def one_batch(data: DataConfig, batch_size: int) -> tuple[Tensor, Tensor]:
    """(B, C, H, W) random images of the training split, and their labels."""
    images, _ = load_train_validation(data)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return next(iter(images.batches([order[:batch_size]], torch.device("cpu"))))


def compute_missing(table: TrainedNetworks, path: Path) -> None:
    """Adds to FILE the proxies that it lacks."""
    known = {row["architecture"] for row in computed(path)}
    missing = [network.architecture for network in table.networks if network.architecture.id not in known]
    if not missing:
        return
    images_BCHW, labels_B = one_batch(table.data, table.recipe.batch_size)
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if not known:
            writer.writerow(COLUMNS)
        for architecture in missing:
            starts = seeded_model(architecture, table.summary, 0)
            rows = []
            for blocks, model in ((AS_THEY_START, starts), (OPEN, with_open_blocks(starts))):
                for name, proxy in PROXIES.items():
                    if proxy is synflow and blocks == OPEN:
                        continue  # it has no batch norm
                    before = time.process_time()
                    value = proxy(model, images_BCHW, labels_B)
                    rows.append((architecture.id, blocks, name, value, time.process_time() - before))
            writer.writerows(rows)
            file.flush()


def computed(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines())) if path.exists() else []


@dataclass(frozen=True, slots=True)
class Signal:
    """`values_N`: one a network. `epochs`: what it takes, as a share of an epoch of training, the networks' median."""

    name: str
    values_N: Array
    epochs: float


def baselines(networks: Sequence[TrainedNetwork]) -> list[Signal]:
    return [
        Signal("log FLOPs", np.log([network.candidate.flops for network in networks]), 0.0),
        Signal("log params", np.log([network.candidate.params for network in networks]), 0.0),
    ]


def proxy_signals(networks: Sequence[TrainedNetwork], rows: Sequence[Mapping[str, str]]) -> list[Signal]:
    """Those of the untrained networks, in the order in which they were computed."""
    by_name: dict[tuple[str, str], dict[str, tuple[float, float]]] = {}
    for row in rows:
        found = by_name.setdefault((row["proxy"], row["blocks"]), {})
        found[row["architecture"]] = float(row["value"]), float(row["cpu_seconds"])
    made = []
    for (proxy, blocks), found in by_name.items():
        values, seconds = np.array([found[network.architecture.id] for network in networks]).T
        epochs = np.median(seconds / [network.epoch_seconds for network in networks])
        made.append(Signal(f"{proxy}, {blocks}", values, float(epochs)))
    return made


def early_accuracies(networks: Sequence[TrainedNetwork]) -> list[Signal]:
    return [
        Signal(f"accuracy after {epoch}", np.array([network.accuracies[epoch - 1] for network in networks]), epoch)
        for epoch in EPOCHS
    ]


def partial_spearman(ones_N: Array, others_N: Array, given: Sequence[Array]) -> float:
    """Spearman's correlation of what is left of both when their ranks are fitted by those of what is given."""
    known = np.column_stack([np.ones(len(ones_N)), *(rankdata(one_N) for one_N in given)])
    left = [ranks - known @ np.linalg.lstsq(known, ranks)[0] for ranks in (rankdata(ones_N), rankdata(others_N))]
    return float(np.corrcoef(*left)[0, 1])


def print_correlations(found: Sequence[Signal], networks: Sequence[TrainedNetwork], given: Sequence[Signal]) -> None:
    """How each signal ranks the networks, by what they end with."""
    final_N = np.array([network.final_accuracy for network in networks])
    best = np.argsort(-final_N)[: len(networks) // 3]
    costs = [signal.values_N for signal in given]
    print(f"\n{len(networks)} networks; the best third are {len(best)}")
    print(f"{'signal':36}   Spearman    Kendall given costs best third  epochs")
    for signal in found:
        values_N = signal.values_N
        partial = math.nan if signal in given else partial_spearman(values_N, final_N, costs)
        among_best = spearmanr(values_N[best], final_N[best]).statistic
        cells = spearmanr(values_N, final_N).statistic, kendalltau(values_N, final_N).statistic, partial, among_best
        print(f"{signal.name:36}", " ".join(f"{cell:10.2f}" for cell in cells), f"{signal.epochs:7.3f}")


def print_gains(table: TrainedNetworks, named: Mapping[str, Sequence[Signal]], count: int) -> None:
    """What the surrogate's forecasts gain by each set of signals as further features, over `count` splits."""
    networks = table.networks
    encoder = FeatureEncoder(choice_domains(table.space), [network.candidate for network in networks])
    features_NP = encoder.encode([network.candidate for network in networks])
    resolution = 0.5 / table.summary.validation_images
    log_errors_N = np.log([max(1 - network.final_accuracy, resolution) for network in networks])

    def forecasts(values: Sequence[Array]) -> Array:
        """[S, 3] of the surrogate that has these, too: log density, CRPS in per cent of the plain one's, Spearman's."""
        features, groups = features_NP, encoder.groups
        for values_N in values:
            features, groups = with_signal(features, groups, values_N)
        found = [forecast(features, groups, log_errors_N, known_K) for known_K in drawn]
        return np.array([(one.log_density, one.crps, one.spearman) for one in found])

    for known in (known for known in KNOWN if known <= len(networks) - FEWEST_FORETOLD):
        drawn = list(splits(len(networks), known, count))
        plain = forecasts([])
        scale = [1, 100 / plain[:, 1].mean(), 1]
        print(f"\nfrom {known} networks the other {len(networks) - known}, {count} splits")
        print(f"{'surrogate':36} {'log density':>17} {'CRPS, %':>17} {'Spearman':>17}")
        print_row("plain, itself", plain.mean(0), plain.std(0, ddof=1) / math.sqrt(count))
        for name, signals in named.items():
            gains = (forecasts([signal.values_N for signal in signals]) - plain) * scale
            print_row(name, gains.mean(0), gains.std(0, ddof=1) / math.sqrt(count))
        rng = np.random.default_rng(0)
        shuffled = [
            (forecasts([rng.permutation(np.arange(0.0, len(networks)))]) - plain).mean(0) * scale
            for _ in range(SHUFFLES)
        ]
        print_row(f"shuffled {SHUFFLES} times", np.mean(shuffled, axis=0), np.std(shuffled, axis=0, ddof=1))


def print_row(name: str, values: Array, spreads: Array) -> None:
    cells = [f"{value:+.3f} ± {spread:.3f}" for value, spread in zip(values, spreads, strict=True)]
    print(f"{name:36}", " ".join(f"{cell:>17}" for cell in cells))


def measure(path: Path, proxies_path: Path, count: int) -> None:
    table = read_trained_networks(path)
    compute_missing(table, proxies_path)
    costs, early = baselines(table.networks), early_accuracies(table.networks)
    proxies = proxy_signals(table.networks, computed(proxies_path))
    print_correlations([*costs, *proxies, *early], table.networks, costs)
    again = {f"{signal.name} again": [signal] for signal in costs}
    named = again | {signal.name: [signal] for signal in [*proxies, *early]}
    print_gains(table, named | {"all proxies": proxies}, count)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--computed", type=Path, help="FILE.csv of the proxies")
    parser.add_argument("--splits", type=int, default=40)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    # Small matrices lose much by threads where other programs want the same cores.
    with threadpool_limits(1), TemporaryDirectory() as folder:
        try:
            measure(options.table, options.computed or Path(folder) / "proxies.csv", options.splits)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
