"""What the MLflow UI shows of a search at one click: its views, its links, and the notes that hold them."""

from collections.abc import Sequence
from dataclasses import replace

from nas.records.objectives import CostName
from nas.reporting.style import REPORT_PAGE
from nas.tracking.run_fields import COST_METRICS, EPOCH_METRICS, LATENCY_METRICS
from nas.tracking.saved_view import UI_OF_TRAINING, SavedView, Scatter, columns, saved_view_path, saved_view_tag

# What there is of every trial, to be shown beside a search's own costs.
COUNTED: tuple[CostName, ...] = ("flops", "params")
COMPARED_COLUMNS = (
    *columns("metrics", ("val_accuracy", "flops", "params", "latency_ms")),
    *columns("params", ("depth", "base_channels", "stem", "stage1", "stage2", "stage3", "stage4")),
)
COLUMNS = (
    *COMPARED_COLUMNS,
    *columns("tags", ("pareto", "nas.outcome", "nas.rung", "nas.reason")),
)
SEARCHES_NOTED = 20


def front_slug(search_id: str) -> str:
    """The view of all trials of a search, the front first."""
    return f"front-{search_id}"


def front_alone_slug(search_id: str) -> str:
    """The view of the front of a search and nothing else."""
    return f"front-alone-{search_id}"


def view_tags(
    search_id: str, name: str, created_ms: int, cost_names: Sequence[CostName] = ("flops",)
) -> dict[str, str]:
    """The experiment tags that hold the two views of a search."""
    trials = f"tags.`nas.search_id` = '{search_id}' and tags.`nas.kind` = 'trial'"
    # The UI loads a hundred runs, so the order brings the front into them, whatever the number of trials.
    all_trials = _view(front_slug(search_id), f"{name}: the front among all trials", trials, created_ms, cost_names)
    front_filter = f"{trials} and tags.`pareto` = 'front'"
    front_alone = _view(front_alone_slug(search_id), f"{name}: the front alone", front_filter, created_ms, cost_names)
    return dict(map(saved_view_tag, (all_trials, front_alone)))


def compared_slug(key: str) -> str:
    """The view of several fronts, coloured by search."""
    return f"fronts-{key}"


def compared_tag(key: str, name: str, created_ms: int, cost_names: Sequence[CostName]) -> tuple[str, str]:
    """The experiment tag that holds the view of a comparison: its name and its value."""
    runs = f"tags.`nas.comparison` = '{key}' and tags.`nas.kind` = 'compared'"
    view = _view(compared_slug(key), f"{name}: their fronts", runs, created_ms, cost_names)
    # The beginnings of all fronts come into the hundred runs that the UI loads.
    shown = replace(view, sort_column="tags.`nas.rank`", ascending=True)
    return saved_view_tag(replace(shown, columns=(*columns("tags", ("nas.search", "nas.trial")), *COMPARED_COLUMNS)))


def compared_path(experiment_id: str, key: str) -> str:
    """Where compared fronts are in the MLflow UI, from the server's address on."""
    return saved_view_path(experiment_id, compared_slug(key))


def compared_links(experiment_id: str, run_id: str, key: str, page: str) -> str:
    """One line of Markdown that leads to compared fronts, and to the page and the table of a comparison."""
    fronts = compared_path(experiment_id, key)
    return f"[Fronts compared]({fronts}) · [page]({artifact_path(experiment_id, run_id, page)})"


def _view(slug: str, title: str, run_filter: str, created_ms: int, cost_names: Sequence[CostName]) -> SavedView:
    return SavedView(
        slug=slug,
        title=title,
        run_filter=run_filter,
        sort_column="tags.`pareto`",
        ascending=False,
        columns=COLUMNS,
        charts=charts(cost_names),
        metrics=EPOCH_METRICS + COST_METRICS + (LATENCY_METRICS if "latency_ms" in cost_names else ()),
        created_ms=created_ms,
    )


def charts(cost_names: Sequence[CostName]) -> tuple[Scatter, ...]:
    """Accuracy against each of a search's costs, and against another one where there is one alone."""
    shown = list(dict.fromkeys([*cost_names, *COUNTED]))
    return tuple(Scatter(name, "val_accuracy") for name in shown[: max(2, len(cost_names))])


def front_path(experiment_id: str, search_id: str) -> str:
    """Where the front is in the MLflow UI, from the server's address on."""
    return saved_view_path(experiment_id, front_slug(search_id))


def report_path(experiment_id: str, run_id: str) -> str:
    """Where the interactive report is in the MLflow UI, from the server's address on."""
    return artifact_path(experiment_id, run_id, REPORT_PAGE)


def artifact_path(experiment_id: str, run_id: str, name: str) -> str:
    """Where an artifact is in the MLflow UI, from the server's address on."""
    return f"#/experiments/{experiment_id}/runs/{run_id}/artifacts/{name}?{UI_OF_TRAINING}"


def links(experiment_id: str, run_id: str, search_id: str) -> str:
    """One line of Markdown that leads to the front, to the front alone and to the report."""
    front = front_path(experiment_id, search_id)
    alone = saved_view_path(experiment_id, front_alone_slug(search_id))
    return f"[Front]({front}) · [front alone]({alone}) · [report]({report_path(experiment_id, run_id)})"


def experiment_note(held: str, experiment_id: str, name: str, search_links: str) -> str:
    """The note of an experiment with the links of a search or a comparison first; others and a person's words stay.

    MLflow shows the first line until somebody unfolds the note: the latest search and the latest comparison share it.
    """
    line = f"{search_links} of {name}"
    # Comparisons are in an experiment of their own.
    comparison = "[Fronts compared](#/experiments/"
    ours = (f"[Front](#/experiments/{experiment_id}/", comparison)
    lines = held.replace(f" · {comparison}", f"\n{comparison}").splitlines()
    others = [text for text in lines if text.startswith(ours) and not text.startswith(search_links)]
    words = "\n".join(text for text in lines if not text.startswith(ours)).strip()
    written = [line, *others[: SEARCHES_NOTED - 1]]
    latest = [next((text for text in written if text.startswith(kind)), None) for kind in ours]
    first = " · ".join(text for text in latest if text is not None)
    noted = [text for shown in (first, *(text for text in written if text not in latest)) for text in (shown, "")]
    return "\n".join([*noted, words]).strip()
