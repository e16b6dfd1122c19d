"""The report as one HTML page that needs no network: what its template is filled with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from nas.records.compute_used import compute_used, train_seconds
from nas.records.failures import failure_reasons
from nas.records.front import front_of, with_repeats
from nas.records.objectives import COSTS, CostName
from nas.records.search_facts import SearchFacts
from nas.records.trial import TrialRecord, counts
from nas.reporting.background import Background
from nas.reporting.figures import page_figures
from nas.reporting.front_figure import AXES, front_figure
from nas.reporting.importance import Importances
from nas.reporting.parallel_figure import parallel_coordinates
from nas.reporting.plotly_json import plotly_script
from nas.reporting.reference_models import is_near, reference_models
from nas.reporting.tables import front_rows
from nas.reporting.texts import (
    TRIALS_TEXT,
    below_text,
    figure_sections,
    front_text,
    measured_text,
    members_text,
    models_text,
    totals_text,
)
from search_spaces.architecture import Operator

HERE = Path(__file__).resolve().parent

ENVIRONMENT = Environment(
    loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
ENVIRONMENT.policies["json.dumps_kwargs"] = {"allow_nan": False, "ensure_ascii": False, "separators": (",", ":")}


@dataclass(frozen=True, slots=True)
class AxisOption:
    """A choice of the x axis; not `measured` where no trial has a value of it."""

    value: str
    title: str
    selected: bool
    measured: bool


@dataclass(frozen=True, slots=True)
class Live:
    """What a page that is served while its search runs knows of that: `text` says what the search is doing.

    The page asks for what is newer than `version` every `seconds`.
    """

    text: str
    version: int
    seconds: float


def report_page(
    facts: SearchFacts,
    trials: Sequence[TrialRecord],
    importances: Sequence[Importances],
    background: Background | None = None,
    live: Live | None = None,
    *,
    update: bool = False,
) -> str:
    """The page. Whatever a user named is escaped. An `update` of a live page is without the scripts."""
    records = with_repeats(trials)
    parallel = parallel_coordinates(records)
    members = front_of(records)
    spent = compute_used(records, facts.full_epochs)
    models = reference_models(facts.data)
    near = is_near([model.flops for model in models], [record.flops for record in records if record.epochs])
    figures = {
        "front": front_figure(records, facts.cost_name),
        **page_figures(records, parallel, facts.reference, importances, spent, facts.full_epochs),
    }
    sections = figure_sections(facts, importances, spent)
    return ENVIRONMENT.get_template("page.html").render(
        name=facts.name,
        totals=totals_text(facts, records, spent),
        front=front_text(facts),
        below=below_text(records),
        models=models_text(facts, models, near),
        models_near=near,
        measured=measured_text(facts, records),
        axes=axis_options(facts.cost_name, records),
        members=members_text(facts),
        rows=front_rows(members),
        trials_text=TRIALS_TEXT,
        cost=COSTS[facts.cost_name].noun,
        failures=failure_reasons(records),
        background=background,
        live=live,
        update=update,
        sections=[section for section in sections if section.figure in figures],
        data={
            **page_trials(records, members),
            "places": parallel.places(),
            "outcomes": {outcome: number for outcome, number in counts(records).items() if number},
            "live": None if live is None else {"version": live.version, "seconds": live.seconds},
            "axes": AXES,
            "cost": facts.cost_name,
            "references": [{"name": model.name, "flops": model.flops, "params": model.params} for model in models],
            "fullEpochs": facts.full_epochs,
            "figures": figures,
        },
        style=page_style(),
        script=_source("table.js") + _source("page.js"),
        live_script=_source("live.js"),
        plotly="" if update else plotly_script(),
    )


def page_style() -> str:
    """The style sheet of the report's pages."""
    return _source("page.css")


def _source(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def axis_options(cost_name: CostName, records: Sequence[TrialRecord]) -> list[AxisOption]:
    """The choices of the x axis, the search's own cost selected. Latency is there where any trial was measured."""
    measured = any(record.inference is not None or record.latency_ms is not None for record in records)
    return [AxisOption(key, title, key == cost_name, measured or key != "latency_ms") for key, title in AXES.items()]


def page_trials(records: Sequence[TrialRecord], members: Sequence[TrialRecord]) -> dict[str, Any]:
    """The trials for the page's script, and the operators that the stages of each refer to by their place."""
    on_front = {record.number for record in members}
    operators: dict[Operator, int] = {}
    trials = [_trial(record, record.number in on_front, operators) for record in records]
    return {"trials": trials, "operators": [{**operator.to_json(), "label": operator.label} for operator in operators]}


def _trial(record: TrialRecord, on_front: bool, operators: dict[Operator, int]) -> dict[str, Any]:
    """The values of AXES and what a card shows. Those that there are not are left out."""
    architecture = record.architecture
    stored = record.to_json()
    values = {
        **{key: stored.get(key) for key in ("number", "outcome", "flops", "params", "seed")},
        "val_accuracy": record.point[0] if record.is_comparable else None,
        "trainings": [min(record.repeats), max(record.repeats), len(record.repeats)] if record.repeats else None,
        # In units of 1e-4, which is a fifth of the digits.
        "curve": [round(1e4 * epoch.val_accuracy) for epoch in record.epochs] or None,
        **{key: stored.get(key) for key in ("latency_ms", "peak_memory_mb", "duplicate_of", "reason")},
        "front": on_front or None,
        "anchor": record.anchor or None,
        "epochs": len(record.epochs) or None,
        "seconds": round(train_seconds(record), 2) or None,
        "id": stored["architecture_id"],
        "depth": architecture.depth,
        "channels": architecture.base_channels,
        "stem": architecture.stem,
        "stages": [
            [operators.setdefault(operator, len(operators)) for operator in blocks] for blocks in architecture.stages
        ],
    }
    return {key: value for key, value in values.items() if value is not None}
