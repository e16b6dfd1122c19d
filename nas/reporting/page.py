"""The report as one HTML page that needs no network: texts, tables, and the data that its script draws."""

import html
import json
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from nas.records.compute_used import Spending, spending, train_seconds
from nas.records.front import front_of
from nas.records.search_facts import SearchFacts
from nas.records.trial import TrialRecord
from nas.reporting.figures import page_figures
from nas.reporting.front_figure import AXES, front_figure
from nas.reporting.importance import Importances
from nas.reporting.reference_models import ReferenceModel, is_near, reference_models
from nas.reporting.tables import front_table
from nas.reporting.texts import (
    CHOICES_TEXT,
    CURVES_TEXT,
    below_text,
    front_text,
    hypervolume_text,
    importance_text,
    measured_text,
    members_text,
    models_text,
    spending_text,
    totals_text,
)
from search_spaces.architecture import Operator

HERE = Path(__file__).resolve().parent


def report_page(facts: SearchFacts, records: Sequence[TrialRecord], importances: Sequence[Importances]) -> str:
    """The page. Whatever a user named is escaped."""
    members = front_of(records)
    spent = spending(records, facts.full_epochs)
    models = reference_models(facts.data)
    figures = {
        "front": front_figure(records, facts.cost_name),
        **page_figures(records, facts.reference, importances, spent, facts.full_epochs),
    }
    data = {
        **page_trials(records, members),
        "axes": AXES,
        "cost": facts.cost_name,
        "references": [{"name": model.name, "flops": model.flops, "params": model.params} for model in models],
        "fullEpochs": facts.full_epochs,
        "figures": {name: json.loads(figure.to_json()) for name, figure in figures.items()},
    }
    title = html.escape(facts.name)
    script = (HERE / "page.js").read_text(encoding="utf-8")
    style = (HERE / "page.css").read_text(encoding="utf-8")
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
        f"<meta name='viewport' content='width=device-width'><style>{style}</style></head><body><main>"
        f"<h1>{title}</h1><p>{totals_text(facts, records, spent)}</p>"
        + _front_section(facts, records, models)
        + _other_sections(facts, members, importances, spent, figures)
        + "<noscript><p>The figures are drawn by a script, which this viewer does not run; the pictures and tables "
        "written beside this page show the same.</p></noscript></main>"
        f"<script>{get_plotlyjs()}</script>"
        f"<script type='application/json' id='data'>{_json(data)}</script><script>{script}</script></body></html>"
    )


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
        **{key: stored.get(key) for key in ("number", "outcome", "val_accuracy", "flops", "params", "seed")},
        **{key: stored.get(key) for key in ("latency_ms", "peak_memory_mb", "duplicate_of", "reason")},
        "front": on_front or None,
        "anchor": record.anchor or None,
        "epochs": len(record.epochs) or None,
        "seconds": round(train_seconds(record), 2) or None,
        "id": architecture.id,
        "depth": architecture.depth,
        "channels": architecture.base_channels,
        "stem": architecture.stem,
        "stages": [
            [operators.setdefault(operator, len(operators)) for operator in blocks] for blocks in architecture.stages
        ],
    }
    return {key: value for key, value in values.items() if value is not None}


def _json(data: object) -> str:
    """JSON that may stand in a script element: no text in it can end the element."""
    return json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _front_section(facts: SearchFacts, records: Sequence[TrialRecord], models: Sequence[ReferenceModel]) -> str:
    near = is_near([model.flops for model in models], [record.flops for record in records if record.epochs])
    measured = any(record.inference is not None or record.latency_ms is not None for record in records)
    options = "".join(
        f"<option value='{key}'{_unless(key != facts.cost_name, ' selected')}"
        f"{_unless(measured or key != 'latency_ms', ' disabled')}>{html.escape(title)}"
        f"{_unless(measured or key != 'latency_ms', ' (not measured)')}</option>"
        for key, title in AXES.items()
    )
    return (
        f"<h2>The front</h2><p>{front_text(facts)}</p>"
        f"<p>{below_text(records)}{models_text(facts, models, near)}</p>"
        f"<p>{measured_text(facts, records)}</p>"
        f"<div class='controls'><label>x axis <select id='x-axis'>{options}</select></label>"
        "<label><input type='checkbox' id='log-axis' checked> log scale</label>"
        "<label><input type='checkbox' id='all-accuracies'> all accuracies</label>"
        f"<label><input type='checkbox' id='reference-models'{_unless(not near, ' checked')}> "
        "the paper's models</label></div><div id='front' class='figure'></div>"
        "<p id='pin-hint' class='quiet'>Nothing is pinned.</p><div id='pins' aria-live='polite'></div>"
    )


def _unless(condition: bool, text: str) -> str:
    return "" if condition else text


def _other_sections(
    facts: SearchFacts,
    members: Sequence[TrialRecord],
    importances: Sequence[Importances],
    spent: Spending,
    figures: Container[str],
) -> str:
    if members:
        table = f"<h2>Members of the front</h2><p>{members_text(facts)}</p>{front_table(members)}"
    else:
        table = "<p class='quiet'>No trial has been trained for the full budget yet, so there is no front.</p>"
    sections = (
        ("curves", "Learning curves of the front", CURVES_TEXT),
        ("choices", "Which choices live on the front", CHOICES_TEXT),
        ("importance", "How much each choice mattered", importance_text(importances)),
        ("hypervolume", "Hypervolume", hypervolume_text(facts)),
        ("stopping", "What stopping early saved", spending_text(spent, facts.full_epochs)),
    )
    return table + "".join(
        f"<h2>{title}</h2><p>{text}</p><div id='{name}' class='figure'></div>"
        for name, title, text in sections
        if name in figures
    )
