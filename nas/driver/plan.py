"""What a search would do, without doing it."""

import random

from rich.console import Console
from rich.table import Table

from nas.driver.checks import check_ledger, check_reachable, kept_index
from nas.driver.earlier_searches import earlier_searches
from nas.driver.findings_table import print_findings
from nas.driver.texts import print_pasted, print_table, print_text
from nas.driver.unanswered import unanswered
from nas.ledger.location import read_ledger
from nas.records.objectives import nouns, readable_cost
from nas.records.trial import architectures_begun
from nas.settings.command import Command
from nas.settings.run_directory import RunDirectory, run_directory
from nas.settings.search_settings import SearchSettings
from nas.strategy.halving import rung_epochs
from search_spaces.architecture import Architecture
from search_spaces.errors import printable
from search_spaces.space import Space
from search_spaces.units import counted, readable_flops
from trainers.data.config import DataSummary
from trainers.data.datasets import examine_data, summary_before_download
from trainers.schedule import unfinished_warmup

SAMPLES = 6
SAMPLE_ATTEMPTS = 5000


def plan_search(console: Console, command: Command, directory: RunDirectory) -> None:
    """Prints what the search that was asked for would do. Raises UserError where it could not begin."""
    earlier_searches(command)
    check_ledger(command, directory, None)
    for line in begins_with(command, directory):
        print_text(console, f"{line}\n")
    coming = summary_before_download(command.data)
    if coming is not None:
        print_plan(console, command.space, coming, command.search, command.training.epochs)
        root = printable(str(command.data.root))
        print_pasted(
            console, f"\nnot in {root} yet: the search unpacks the archive of {coming.name} there, or downloads it"
        )
        _warn(console, command)
        return
    data = examine_data(command.data, kept_index(command, directory), download=False)
    check_ledger(command, directory, data)
    print_plan(console, command.space, data.summary, command.search, command.training.epochs)
    print_findings(console, data.findings)
    _warn(console, command)


def begins_with(command: Command, directory: RunDirectory) -> list[str]:
    """What a search has already that goes on with another's results, or its own."""
    if not command.resume and command.fork_of is None:
        return []
    if command.fork_of is None:
        records = read_ledger(directory, command.ledger.url).records
        begun = len(architectures_begun(record for record in records if record.imported_from is None))
        return [f"goes on with {command.name}, which has begun {counted(begun, 'architecture')}"]
    # It loads Optuna, which other plans do without.
    from nas.ledger.forking import taken_over

    source = run_directory(command.runs_dir, command.fork_of)
    records = read_ledger(source, command.ledger.url).records
    taken = taken_over(records, command.fork_of, command.space, command.search.limits)
    return [taken.text(command.fork_of)]


def _warn(console: Console, command: Command) -> None:
    for line in (*unfinished_warmup(command.training), *unanswered(command)):
        print_text(console, f"\nwarning: {line}")


def print_plan(console: Console, space: Space, data: DataSummary, search: SearchSettings, epochs: int) -> None:
    """Prints the size of the space, its FLOPs range, some architectures, and what would be spent."""
    lowest, highest = check_reachable(space, data, search.limits)
    rungs = () if search.scheduler == "none" else rung_epochs(search.minimum_epochs, epochs, search.reduction_factor)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_row(
        "space", f"{space.name}: {space.size():,} architectures, {readable_flops(lowest)} to {readable_flops(highest)}"
    )
    limit = "none" if search.max_flops is None else readable_flops(search.max_flops)
    table.add_row("objectives", f"validation accuracy against {nouns(search.cost_names)}")
    table.add_row("FLOPs limit", limit)
    if search.max_params is not None:
        table.add_row("parameters", f"{search.max_params:,.0f} at most")
    if counts := _counts_text(search):
        table.add_row("counts", counts)
    table.add_row(
        "data",
        f"{data.name}: {data.train_images:,} to train, {data.validation_images:,} to validate, "
        f"{data.image_size}² pixels, {data.classes} classes",
    )
    trials = f"{counted(search.trials, 'architecture')} of up to {counted(epochs, 'epoch')}"
    table.add_row("trials", f"{trials}, proposed by {search.sampler}")
    if search.prior:
        table.add_row("prior", f"proposals are informed by what {', '.join(search.prior)} found")
    if search.inherit:
        table.add_row("inherits", _inherits_text(search))
    table.add_row("rungs", _rungs_text(rungs, search))
    if repeats := _repeats_text(search):
        table.add_row("repeats", repeats)
    if ends := _ends_text(search):
        table.add_row("ends", ends)
    table.add_row("epochs", _epochs_text(search, rungs, epochs, len(space.anchors())))
    print_table(console, table)
    print_text(console, "\nanchors, trained first and to the end, and some architectures of the space:")
    anchors = [
        (f"anchor{'' if _is_allowed(anchor, data, search) else ', over a limit: not trained'}", anchor)
        for anchor in space.anchors()
    ]
    samples = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for kind, architecture in [*anchors, *(("sample", sample) for sample in _samples(space, data, search))]:
        architecture_cost = data.cost(architecture)
        samples.add_row(
            kind, readable_flops(architecture_cost.flops), f"{architecture_cost.params:,} params", architecture.label
        )
    print_table(console, samples)


def _rungs_text(rungs: tuple[int, ...], search: SearchSettings) -> str:
    if not rungs:
        return "none: every trial is trained to the end"
    after = f"after {', '.join(map(str, rungs))} {'epoch' if rungs == (1,) else 'epochs'} "
    if search.scheduler == "asha":
        return after + f"the most accurate 1 in {search.reduction_factor} go on"
    return after + "trials go on that may add enough to the front; others are held, and promoted if worth it"


def _inherits_text(search: SearchSettings) -> str:
    return (
        f"what is like a trained network is looked at first, for {counted(search.inherited_epochs, 'epoch')} from its "
        "weights, and counts as begun; what that brings is compared with no training from scratch"
    )


def _counts_text(search: SearchSettings) -> str:
    """What a result has to be to count, where that is asked for."""
    latency = search.max_latency_ms
    asked = [
        *([] if search.min_accuracy is None else [f"{100 * search.min_accuracy:.4g}% accuracy or more"]),
        *([] if latency is None else [f"{readable_cost(latency, 'latency_ms')} or less"]),
    ]
    return ", ".join(asked)


def _repeats_text(search: SearchSettings) -> str:
    """How often architectures are trained, where that is more than once."""
    asked = [
        *([f"what is trained to the end {search.replicates} times"] if search.replicates > 1 else []),
        *([f"the front's members {search.confirm_front} times"] if search.confirm_front > 1 else []),
    ]
    return ", ".join(asked)


def _ends_text(search: SearchSettings) -> str:
    """What may end a search before its architectures are trained."""
    asked = [
        *([] if search.time_budget is None else [f"after {search.time_budget}"]),
        *([] if search.epochs is None else [f"after {counted(search.epochs, 'epoch')}"]),
        *([] if search.stagnation is None else [f"after {search.stagnation} architectures that added next to nothing"]),
    ]
    return ", or ".join(asked)


def _is_allowed(architecture: Architecture, data: DataSummary, search: SearchSettings) -> bool:
    cost = data.cost(architecture)
    return search.limits.allow(cost.flops, cost.params)


def _epochs_text(search: SearchSettings, rungs: tuple[int, ...], epochs: int, anchors: int) -> str:
    """The most that a search can spend, and what halving on accuracy would, were every rung exact."""
    most = search.trials * epochs * max(search.replicates, search.confirm_front)
    if search.inherit:
        most += search.trials * search.inherited_epochs
    if search.epochs is not None:
        most = min(most, search.epochs)
    if not rungs and most == search.trials * epochs:
        return f"{most:,}"
    if search.scheduler != "asha" or most != search.trials * epochs:
        # How many go on by what they may add to the front, nobody knows beforehand.
        return f"{most:,} at most"
    anchors = min(anchors, search.trials)
    least, going, previous = float(anchors * epochs), float(search.trials - anchors), 0
    for rung in (*rungs, epochs):
        least += going * (rung - previous)
        going, previous = going / search.reduction_factor, rung
    return f"about {round(least):,} if halving were exact, {most:,} at most"


def _samples(space: Space, data: DataSummary, search: SearchSettings) -> list[Architecture]:
    rng = random.Random(search.seed)
    found: list[Architecture] = []
    for _ in range(SAMPLE_ATTEMPTS):
        architecture = space.sample(rng)
        if architecture not in found and _is_allowed(architecture, data, search):
            found.append(architecture)
        if len(found) == SAMPLES:
            break
    return found
