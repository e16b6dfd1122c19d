"""What the report says in words: plain text, which the page's template escapes."""

from collections.abc import Sequence
from dataclasses import dataclass

from nas.records.compute_used import ComputeUsed
from nas.records.front import finished, front_hypervolume, front_of
from nas.records.objectives import COSTS, joined, readable_cost, readable_costs
from nas.records.search_facts import SearchFacts
from nas.records.trial import TrialRecord, counts
from nas.reporting.importance import Importances
from nas.reporting.reference_models import ReferenceModel
from search_spaces.units import readable_flops

LATENCY_TEXT = (
    "Each trial's worker measured the latency of its network before it trained, beside a reference network, so that "
    "what else the machine did cancels. Measured again at the end, with nothing else running, members of the front are "
    "given as ms below."
)

CURVES_TEXT = (
    "Validation accuracy after each epoch: in colour the members of the front, the cheapest the darkest, and behind "
    "them the other trials that the table shows. A click in the legend hides what it names."
)

PARALLEL_TEXT = (
    "A line is a trial that the table shows: its choices, its costs and its accuracy, the front in orange, the others "
    "the darker the more accurate. C is a convolution, A7 attention of extent 7. Lines of the same choice lie a little "
    "apart; what is the same in all trials is left out."
)

TRIALS_TEXT = (
    "A click on a column sorts by it, another one the other way round. The figures below show the trials that the "
    "table shows. Of several trainings of an architecture the accuracy is their mean, with the range."
)

CHOICES_TEXT = (
    "A column is a member of the front, the cheapest on the left. C is convolution, A attention; extent, heads and "
    "encoding are those of attention and empty elsewhere; positions are n none, a absolute, r relative, o relative "
    "alone. Where the blocks of a stage differ, numbers are their means."
)


@dataclass(frozen=True, slots=True)
class FigureSection:
    """A section of the page: its heading, what it says, and the name of the figure below."""

    figure: str
    title: str
    text: str


def figure_sections(
    facts: SearchFacts, importances: Sequence[Importances], spent: ComputeUsed
) -> tuple[FigureSection, ...]:
    """The sections after the front's, in the order of the page."""
    return (
        FigureSection("parallel", "All trials, choice by choice", PARALLEL_TEXT),
        FigureSection("curves", "Learning curves", CURVES_TEXT),
        FigureSection("choices", "Which choices live on the front", CHOICES_TEXT),
        FigureSection("importance", "How much each choice mattered", importance_text(importances)),
        FigureSection("hypervolume", "Hypervolume", hypervolume_text(facts)),
        FigureSection("stopping", "What stopping early saved", spending_text(spent, facts.full_epochs)),
    )


def front_text(facts: SearchFacts) -> str:
    """What the figure of the front shows, and how."""
    words = COSTS[facts.cost_name]
    if len(facts.cost_names) == 1:
        better = f"with {words.less}"
        line = f"the line, drawn over {words.noun}, joins them"
    else:
        better = f"with {joined([COSTS[name].no_more for name in facts.cost_names])}"
        line = f"the line, drawn over {words.noun}, joins those that no other beats in {words.noun} alone"
    return (
        "Each mark is an architecture. Orange marks are the front: trained for the full budget, and no other is at "
        f"least as accurate {better}; {line}. Stopped trials stand at "
        "the accuracy at which they were stopped. Proposals that were never trained have no accuracy and stand in rows "
        "of their own below. Where an architecture was trained several times, its mark is the mean and its bar reaches "
        "from the least to the most. Point at a mark to see its architecture; a click pins it, and pinned ones are "
        "compared below the figure."
    )


def members_text(facts: SearchFacts) -> str:
    """How to read the table of the front's members."""
    of_one = "batch" if facts.cost_name == "latency_ms" else "image"
    return (
        f"By rising {COSTS[facts.cost_name].noun}{'' if facts.cost_name == 'params' else f' of one {of_one}'}. C is "
        "convolution; A7×8r attention of extent 7 with 8 heads and relative positions (a absolute, n none, o relative "
        "alone). A trial's number pins it above."
    )


def totals_text(facts: SearchFacts, records: Sequence[TrialRecord], spent: ComputeUsed) -> str:
    """What a search came to, in two sentences."""
    numbers = [f"{number:,} {outcome}" for outcome, number in counts(records).items() if number]
    text = f"{len(records):,} proposals on {facts.data.name}: {', '.join(numbers) or 'none yet'}."
    members = front_of(records)
    if members:
        accuracies = [record.point[0] for record in members]
        volume = front_hypervolume(records, facts.reference)
        anchors = front_hypervolume([record for record in finished(records) if record.anchor], facts.reference)
        text += (
            f" The front has {len(members)} member{'s' * (len(members) > 1)}, "
            f"{min(accuracies):.2%} to {max(accuracies):.2%} accurate at {_cost_ranges(facts, members)}; hypervolume "
            f"{volume:.4f}"
            + (f", of the anchors alone {anchors:.4f}" if anchors else "")
            + f". {spent.hours:.3g} accelerator-hours."
        )
    return text


def _cost_ranges(facts: SearchFacts, members: Sequence[TrialRecord]) -> str:
    """From what to what the members of a front cost."""
    ranges = []
    for name in facts.cost_names:
        costs = [record.cost_in(name) for record in members]
        ranges.append(f"{readable_cost(min(costs), name)} to {readable_cost(max(costs), name)}")
    return joined(ranges)


def below_text(records: Sequence[TrialRecord]) -> str:
    """How many trials the front's figure opens without, or nothing where it shows all."""
    full = [record.point[0] for record in records if record.outcome == "finished"]
    below = sum(record.is_comparable and record.point[0] < min(full) for record in records) if full else 0
    return f"{below:,} trials lie below the accuracies shown at first; “all accuracies” shows them." if below else ""


def models_text(facts: SearchFacts, models: Sequence[ReferenceModel], near: bool) -> str:
    """What the marks of the paper's models are; `near` is whether they are shown at first."""
    where = "" if facts.cost_name != "latency_ms" else ", where the axis is FLOPs or parameters,"
    text = (
        f"Dotted lines{where} mark what the nine ResNets of the paper (arXiv 1906.05909, full width) cost on this "
        f"search's images, {readable_flops(models[0].flops)} to {readable_flops(models[-1].flops)}; their accuracy "
        "here is not known."
    )
    return text if near else f"{text} They lie far from what was searched, and are hidden until asked for."


def measured_text(facts: SearchFacts, records: Sequence[TrialRecord]) -> str:
    """How latency and memory were measured, or nothing where they were not."""
    sentences = [LATENCY_TEXT] if "latency_ms" in facts.cost_names else []
    conditions = dict.fromkeys(record.inference.conditions for record in records if record.inference is not None)
    if conditions:
        sentences.append(f"Latency and memory were measured on members of the front: {'; '.join(conditions)}.")
    return " ".join(sentences)


def spending_text(spent: ComputeUsed, full_epochs: int) -> str:
    """What was spent, and what stopping trials early saved."""
    trials = f"{spent.stopped_trials:,} trial{'s were' if spent.stopped_trials != 1 else ' was'}"
    return (
        f"{trials} stopped before {full_epochs} epochs. {spent.epochs:,} epochs were trained in {spent.hours:.3g} "
        f"accelerator-hours; with every stopped trial trained in full it would have been {spent.epochs_in_full:,} "
        f"epochs in about {spent.hours_in_full:.3g} hours (a trial's missing epochs taken to last as long as its own "
        f"did): {spent.epochs_saved:.0%} of the epochs and {spent.hours_saved:.0%} of the hours were saved."
    )


def hypervolume_text(facts: SearchFacts) -> str:
    """What the hypervolume is the share of."""
    return (
        f"The share of the box above an accuracy of {facts.reference[0]:.1%} and below "
        f"{readable_costs(facts.reference[1:], facts.cost_names)} that the front dominates, as trials ended."
    )


def importance_text(importances: Sequence[Importances]) -> str:
    """What the importances are, and of how many trials."""
    asked = " and ".join(
        f"{measured.epoch} ({measured.trials:,} trials{'' if measured.choices else ', too few to tell'})"
        for measured in importances
    )
    return (
        "The share of the differences in validation accuracy that a choice explains (Optuna's fANOVA importances; on "
        f"the left the bars of one colour sum to 100%), after epoch {asked}. Extent, heads and encoding are asked of "
        "the trials with attention in that stage, of which they share the explanation with the choices on the left. "
        "Importances are of accuracy, not of cost."
    )
