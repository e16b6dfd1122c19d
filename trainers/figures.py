"""The pictures of full trainings: learning curves, confusions, and networks beside each other.

matplotlib is imported only where one is drawn: everything else of a training does without.
"""

import importlib.util
import io
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.units import readable_count
from trainers.epoch_result import EpochResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = 120
# Okabe's and Ito's, told apart by all.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS = {"convolution": "s", "attention": "^", "hybrid": "o"}
# So many classes have their names beside their row.
MOST_NAMED_CLASSES = 40
# So many dots a side can be told apart.
MOST_DOTS = 200
# So many networks are named in a legend.
MOST_NAMED_NETWORKS = 12
# Matplotlib's own font, and what systems bring for the scripts that it has no letters of.
FONTS = (
    "DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK TC", "Noto Sans CJK KR", "Noto Sans JP",
    "Noto Sans SC", "Noto Sans KR", "Source Han Sans", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei",
    "Droid Sans Fallback", "IPAGothic", "NanumGothic", "Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo",
    "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil",
    "Noto Sans Thai", "Lohit Devanagari", "Arial Unicode MS", "FreeSans", "Unifont",
)  # fmt: skip


def can_draw() -> bool:
    """Whether matplotlib is installed, without which there are no pictures."""
    return importlib.util.find_spec("matplotlib") is not None


@dataclass(frozen=True, slots=True)
class NetworkPoint:
    """A network as a comparison draws it. `curves` are the validation accuracies of each seed by epoch."""

    label: str
    kind: str
    flops: int
    accuracy: float
    margin: float
    promised: float | None
    curves: tuple[tuple[float, ...], ...]


def not_drawn(names: Sequence[str]) -> list[str]:
    """The names of which a confusion matrix of these classes would show a letter, if a font that is installed had it.

    Needs matplotlib.
    """
    _, letters = _fonts(FONTS)
    lacking = [name for name in names if any(char.isprintable() and ord(char) not in letters for char in name)]
    return lacking if len(names) <= MOST_NAMED_CLASSES else []


def curves_png(results: Sequence[EpochResult], title: str) -> bytes:
    """Losses, validation accuracy and learning rate of a training by epoch, as a PNG file."""
    figure = _figure(11, 3.6)
    losses, accuracies, rates = figure.subplots(1, 3)
    epochs = [result.epoch for result in results]
    mark = "o" if len(results) == 1 else ""
    for axes, name, colour in (
        (losses, "train_loss", COLOURS[0]),
        (losses, "val_loss", COLOURS[1]),
        (accuracies, "val_accuracy", COLOURS[1]),
        (rates, "learning_rate", COLOURS[2]),
    ):
        values = [getattr(result, name) for result in results]
        axes.plot(epochs, values, c=colour, lw=1.5, marker=mark, label=name.replace("_", " "))
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
    losses.legend()
    losses.set_title("loss", fontsize=10)
    accuracies.set_title("validation accuracy", fontsize=10)
    _in_percent(accuracies)
    rates.set_title("learning rate at the end of the epoch", fontsize=10)
    figure.suptitle(title, fontsize=10)
    return _png(figure)


def confusion_png(confusion: Any, names: Sequence[str], title: str) -> bytes:
    """A confusion matrix as a PNG file: of each true class (a row) the share that is taken for each class (a column).

    `confusion` is an array of counts. Up to 40 classes have their names; of more than 200 a dot stands for several in
    a row, and shows the largest of their shares, so that none is lost between pixels. Colours tell small shares apart.
    """
    from matplotlib.colors import PowerNorm

    count = len(names)
    counts = np.asarray(confusion, dtype=np.float64)
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    step = -(-count // MOST_DOTS)
    starts = np.arange(0, count, step)
    dots = np.maximum.reduceat(np.maximum.reduceat(shares, starts, axis=0), starts, axis=1)
    side = 9.0 if count > MOST_NAMED_CLASSES else max(4.5, 1.8 + 0.26 * count)
    figure = _figure(side + 1, side)
    axes = figure.subplots()
    end = step * len(starts) - 0.5
    picture = axes.imshow(
        dots, cmap="viridis", norm=PowerNorm(0.5, 0, 1), interpolation="nearest", extent=(-0.5, end, end, -0.5)
    )
    label = "share of the true class" + (f", the largest of {step}×{step} classes" if step > 1 else "")
    figure.colorbar(picture, ax=axes, shrink=0.8, label=label)
    if count <= MOST_NAMED_CLASSES:
        shown = [name if len(name) <= 20 else f"{name[:19]}…" for name in map(_plain, names)]
        families, _ = _fonts(FONTS)
        axes.set_xticks(range(count), shown, rotation=90, fontsize=7, fontfamily=families)
        axes.set_yticks(range(count), shown, fontsize=7, fontfamily=families)
    axes.set(xlabel="taken for", ylabel="true class")
    axes.set_title(title, fontsize=10)
    return _png(figure)


def comparison_png(networks: Sequence[NetworkPoint], split: str) -> bytes:
    """What was promised against what was reached, accuracy against FLOPs, and learning curves where there are any."""
    has_curves = any(network.curves for network in networks)
    panels = 3 if has_curves else 2
    figure = _figure(4.6 * panels, 4.6)
    promised, costs, *others = figure.subplots(1, panels)
    for index, network in enumerate(networks):
        colour, marker = COLOURS[index % len(COLOURS)], MARKERS[network.kind]
        fill = colour if network.kind == "hybrid" else "none"
        style = {"yerr": network.margin, "fmt": marker, "c": colour, "mfc": fill, "capsize": 2, "ms": 7}
        label = _plain(network.label) if len(networks) <= MOST_NAMED_NETWORKS else None
        costs.errorbar(network.flops, network.accuracy, label=label, **style)
        if network.promised is not None:
            promised.errorbar(network.promised, network.accuracy, **style)
        for axes in others:
            _curves(axes, network.curves, colour)
    known = [network for network in networks if network.promised is not None]
    if known:
        ends = [value for network in known for value in (network.promised, network.accuracy) if value is not None]
        promised.plot([min(ends), max(ends)], [min(ends), max(ends)], c="black", lw=0.8, ls=":")
    promised.set(xlabel="validation accuracy in the search", ylabel=f"{split} accuracy reached")
    costs.set(xlabel="FLOPs", ylabel=f"{split} accuracy reached", xscale="log")
    promised.xaxis.set_major_formatter(_percent())
    _in_counts(costs, [network.flops for network in networks])
    for axes in others:
        axes.set(xlabel="epoch", ylabel="validation accuracy")
    for axes in (promised, costs, *others):
        _in_percent(axes)
        axes.grid(alpha=0.3)
    if len(networks) <= MOST_NAMED_NETWORKS:
        families, _ = _fonts(FONTS)
        figure.legend(loc="outside lower center", ncols=2, prop={"family": families, "size": 7})
    return _png(figure)


def _curves(axes: "Axes", curves: Sequence[Sequence[float]], colour: str) -> None:
    """The mean over the seeds, and from the least to the most of them."""
    if not curves:
        return
    columns = list(zip(*curves, strict=False))
    epochs = range(1, len(columns) + 1)
    axes.plot(epochs, [statistics.fmean(column) for column in columns], c=colour, lw=1.3)
    if len(curves) > 1:
        axes.fill_between(epochs, list(map(min, columns)), list(map(max, columns)), color=colour, alpha=0.2, lw=0)


def _plain(text: str) -> str:
    """The text as it stands: a dollar sign would begin a formula, and ? is for what cannot be printed or drawn."""
    _, letters = _fonts(FONTS)
    drawn = "".join(char if char.isprintable() and ord(char) in letters else "?" for char in text)
    return drawn.replace("$", r"\$")


@lru_cache(maxsize=1)
def _fonts(names: tuple[str, ...]) -> tuple[list[str], frozenset[int]]:
    """Those of the fonts that are installed, and the characters that one of them has."""
    from matplotlib import font_manager

    installed = set(font_manager.get_font_names())
    found = [name for name in names if name in installed]
    files = [font_manager.findfont(font_manager.FontProperties(family=[name])) for name in found]
    return found, frozenset(chain.from_iterable(font_manager.get_font(file).get_charmap() for file in files))


def _in_counts(axes: "Axes", values: Sequence[int]) -> None:
    """Ticks as 3.5 M, on a logarithmic axis that may be shorter than a decade."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

    if max(values) < 10 * min(values):
        axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: readable_count(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _percent() -> Any:
    from matplotlib.ticker import PercentFormatter

    return PercentFormatter(1)


def _in_percent(axes: "Axes") -> None:
    axes.yaxis.set_major_formatter(_percent())


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", dpi=DOTS_PER_INCH)


def _png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
