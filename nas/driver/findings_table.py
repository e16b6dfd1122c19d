"""What was found of the images, as a small table in the terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from search_spaces.errors import printable
from trainers.data.findings import DataFindings


def print_findings(console: Console, findings: DataFindings | None) -> None:
    """Prints the table; nothing of a data set that is not in folders."""
    if findings is None:
        return
    console.print(Text("\nimages in ").append(printable(findings.root)), soft_wrap=True)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for what, count, rest in findings.rows():
        # A file's name may look like markup.
        table.add_row(what, count, Text(rest))
    console.print(table)
