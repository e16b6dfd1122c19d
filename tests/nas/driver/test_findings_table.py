import io

from rich.console import Console

from nas.driver.findings_table import print_findings
from trainers.data.findings import DataFindings, Noted, SplitFound
from trainers.full.readout import findings_lines

FOUND = DataFindings(
    root="/images/[of] mine",
    classes=("cat", "dog"),
    splits=(SplitFound("train", 1_200, "train/"), SplitFound("validation", 18, "val/"), SplitFound("test", 0, "none")),
    skipped=(Noted("hidden", 2, "train/cat/.[red]"), Noted(".txt files", 30, "train/cat/a\udcff.txt")),
    looked_at=4,
    read_as=(Noted("what is transparent as white", 1, "train/cat/0.png"),),
)
ROWS = [
    "classes         2  cat, dog",
    "train       1,200  train/",
    "validation     18  val/",
    "test            0  none",
    r"skipped        30  .txt files, such as train/cat/a\udcff.txt",
    "skipped         2  hidden, such as train/cat/.[red]",
    "looked at       4  the first image of each class",
    "read as         1  what is transparent as white, such as train/cat/0.png",
]


def printed(findings: DataFindings | None, width: int) -> list[str]:
    output = io.StringIO()
    print_findings(Console(file=output, width=width), findings)
    return [line.rstrip() for line in output.getvalue().splitlines()]


def test_the_table_stands_as_it_is_in_the_terminal_and_in_plain_lines() -> None:
    assert printed(FOUND, 120) == ["", "images in /images/[of] mine", *ROWS]
    assert findings_lines(FOUND) == ["images in /images/[of] mine", *ROWS]


def test_a_narrow_terminal_cuts_nothing_off() -> None:
    lines = printed(FOUND, 40)
    assert max(map(len, lines)) <= 40
    assert "".join("\n".join(lines).split()).endswith("suchastrain/cat/0.png")


def test_data_that_are_in_no_folders_have_no_table() -> None:
    assert printed(None, 80) == [] and findings_lines(None) == []
