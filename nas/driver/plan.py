"""What a search would do, without doing it."""

import random

from rich.console import Console
from rich.table import Table

from nas.driver.checks import check_ledger, check_reachable, kept_index
from nas.driver.earlier_searches import earlier_searches
from nas.driver.findings_table import print_findings
from nas.driver.texts import print_pasted, print_table, print_text
from nas.driver.unanswered import unanswered
from nas.records.objectives import nouns
from nas.settings.command import Command
from nas.settings.run_directory import RunDirectory
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
    coming = summary_before_download(command.data)
    if coming is not None:
        check_ledger(command, directory, None)
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
    table.add_row(
        "data",
        f"{data.name}: {data.train_images:,} to train, {data.validation_images:,} to validate, "
        f"{data.image_size}² pixels, {data.classes} classes",
    )
    trials = f"{counted(search.trials, 'architecture')} of up to {counted(epochs, 'epoch')}"
    table.add_row("trials", f"{trials}, proposed by {search.sampler}")
    if search.prior:
        table.add_row("prior", f"proposals are informed by what {', '.join(search.prior)} found")
    table.add_row("rungs", _rungs_text(rungs, search))
    table.add_row("epochs", _epochs_text(search, rungs, epochs, len(space.anchors())))
    print_table(console, table)
    print_text(console, "\nanchors, trained first and to the end, and some architectures of the space:")
    samples = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for kind, architecture in [("anchor", anchor) for anchor in space.anchors()] + [
        ("sample", sample) for sample in _samples(space, data, search)
    ]:
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


def _epochs_text(search: SearchSettings, rungs: tuple[int, ...], epochs: int, anchors: int) -> str:
    """The most that a search can spend, and what halving on accuracy would, were every rung exact."""
    most = search.trials * epochs
    if not rungs:
        return f"{most:,}"
    if search.scheduler != "asha":
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
    found = []
    for _ in range(SAMPLE_ATTEMPTS):
        architecture = space.sample(rng)
        cost = data.cost(architecture)
        if search.limits.allow(cost.flops, cost.params):
            found.append(architecture)
        if len(found) == SAMPLES:
            break
    return found
