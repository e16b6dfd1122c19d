"""What a search is doing, as the terminal shows it once."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nas.driver.commands import going_on, last_resumed_command
from nas.driver.texts import print_pasted, print_table, print_text
from nas.records.search_status import RunningTrial, SearchStatus
from nas.records.trial import OUTCOMES
from nas.records.whereabouts import GpuUse
from nas.settings.run_directory import RunDirectory, error_file
from search_spaces.errors import printable
from search_spaces.units import readable_duration

GIGABYTE = 1e9
# So many failures are listed, the latest.
MOST_FAILURES = 8


def print_status(console: Console, status: SearchStatus, directory: RunDirectory) -> None:
    """Prints a status; `directory` is where the search is."""
    shown = [f"{status.counts[outcome]} {outcome}" for outcome in OUTCOMES if status.counts[outcome]]
    print_text(console, f"search {status.name}: {', '.join(shown) or 'no trial yet'}")
    print_text(console, _driver_text(status))
    # One that was ended by its user has trials that wait for the next.
    if status.driver_state == "gone" or (status.driver_state == "ended" and status.running):
        print_text(console, "this goes on with it, as it ran last:")
        print_pasted(console, f"  {last_resumed_command(directory, status.driver)}")
    if status.seconds_since_event is not None:
        print_text(console, f"the last event was {readable_duration(status.seconds_since_event)} ago")
    if status.running:
        print_text(console, "")
        print_table(console, _trials(status.running))
    for node in status.nodes:
        if node.left_out is not None:
            print_text(console, f"node {node.node} is left out: {node.left_out}")
    for trial in status.failed[-MOST_FAILURES:]:
        where = "" if trial.node is None else f" on {trial.node}"
        print_text(console, f"trial {trial.number} {trial.outcome}{where}: {trial.reason} ({trial.label})")
        said = error_file(directory.errors, trial.number)
        if said.is_file():
            print_pasted(console, f"  {printable(str(said))}")
    if len(status.failed) > MOST_FAILURES:
        print_text(console, f"and {len(status.failed) - MOST_FAILURES} before them")


def _driver_text(status: SearchStatus) -> str:
    driver = status.driver
    if driver is None:
        return "its ledger does not know its driver"
    process = f"process {driver.process} on {driver.host}"
    if status.driver_state == "ended":
        return f"not running: its driver, {process}, has ended in order"
    if status.driver_state == "gone":
        return f"not running: its driver, {process}, was killed or ended at once"
    if status.driver_state == "suspended":
        return f"its driver, {process}, is suspended: {going_on(driver.process)}"
    return f"driven by {process}"


def _trials(running: tuple[RunningTrial, ...]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for header in ("trial", "epoch", "accuracy", "last report"):
        table.add_column(header, justify="right", no_wrap=True)
    for header in ("node", "GPU", "last error", "architecture"):
        table.add_column(header)
    for trial in running:
        heard = trial.seconds_since_report
        table.add_row(
            str(trial.number),
            f"{trial.epochs} of {trial.full_epochs}",
            "–" if trial.val_accuracy is None else f"{trial.val_accuracy:.2%}",
            "–" if heard is None else f"{readable_duration(heard)} ago",
            Text(trial.node or trial.state),
            _gpu_text(trial.accelerator, trial.gpu),
            Text(trial.last_error or "–"),
            Text(trial.label),
        )
    return table


def _gpu_text(accelerator: str | None, gpu: GpuUse | None) -> str:
    busy = "" if gpu is None or gpu.utilisation is None else f", {gpu.utilisation:.0%}"
    use = "" if gpu is None else f"{gpu.used_bytes / GIGABYTE:.1f} of {gpu.total_bytes / GIGABYTE:.0f} GB{busy}"
    return ": ".join(filter(None, (accelerator, use))) or "–"
