"""What a running search shows, on terminals of many kinds and on none."""

import functools
import io
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from nas.driver import progress as progress_module
from nas.driver.conclusion import print_conclusion
from nas.driver.endings import by_signal
from nas.driver.progress import PLAIN_INTERVAL_SECONDS, ProgressView
from nas.driver.progress_lines import MOST_TRIALS_SHOWN, Progress, progress_line, progress_rows, running_lines
from nas.driver.result_files import SearchEnd
from nas.driver.steps import said, step
from nas.records.inheritance import Inheritance
from nas.records.summary import summarise
from nas.records.time_left import TimeLeft
from nas.records.trial import TrialRecord
from nas.records.whereabouts import Mishap, Place
from nas.settings.run_directory import run_directory
from search_spaces.slow_steps import SAID_AFTER_SECONDS, SAID_AGAIN_SECONDS, SILENCE_SECONDS
from tests.support.progress_moment import LOSS, PLAN, RECORDS, summary
from tests.support.searches import trial_record

PROJECT = Path(__file__).resolve().parents[3]
WIDTHS = (60, 80, 120)


def moment(records: Sequence[TrialRecord] = RECORDS, left: TimeLeft | None = None) -> Progress:
    return Progress(summary(records), records, 12, 9, 62.0, left, began=1000.0)


def shown(show: Callable[[Console], object], width: int, terminal: bool = True) -> str:
    file = io.StringIO()
    show(Console(file=file, width=width, force_terminal=terminal, color_system=None, highlight=False))
    return file.getvalue()


def words(text: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).split()


def test_every_trial_is_in_a_count() -> None:
    line = progress_line(moment(left=TimeLeft(115.0, 200.0, 300.0)))
    assert "2 running, 2 finished, 1 held, 2 diverged, 1 failed" in line
    assert line.endswith("1 min 2 s, 2 to 5 min left")
    assert progress_line(moment()).endswith("; 1 min 2 s")


def test_what_a_fork_took_over_counts_beside_what_it_trains() -> None:
    taken = [replace(trial_record(number, (0.5, 0.6)), imported_from=f"old/{number}") for number in range(4)]
    own = [trial_record(4, (0.5, 0.6)), trial_record(5, (0.5,), outcome="running")]
    line = progress_line(moment([*taken, *own]))
    assert line.startswith("2 of at most 8 architectures trained beside 4 taken over: 1 running, 1 finished;")


def test_running_trials_are_shown_as_far_as_they_are() -> None:
    label = RECORDS[3].architecture.label
    assert running_lines(moment()) == [
        f"3  {label}  epoch 2 of 9, 45.23%",
        f"4  {RECORDS[4].architecture.label}  epoch 0 of 9",
    ]
    many = running_lines(moment([trial_record(number, (0.5,), outcome="running") for number in range(30)]))
    assert len(many) == MOST_TRIALS_SHOWN + 1 and many[-1] == "and 22 more"
    assert running_lines(moment([])) == []


def test_running_trials_are_shown_with_their_nodes_where_there_are_several() -> None:
    def lines(*nodes: str) -> list[str]:
        places = enumerate(Place(node, 1000.0) for node in nodes)
        return running_lines(moment([trial_record(n, (0.5,), outcome="running", place=place) for n, place in places]))

    assert [line.rpartition("%")[2] for line in lines("a", "b")] == ["  on a", "  on b"]
    assert [line.rpartition("%")[2] for line in lines("a", "a")] == ["", ""]


def test_a_trial_whose_node_was_lost_waits_until_it_is_given_to_another() -> None:
    def at(since: float, lost: float, node: str) -> TrialRecord:
        return trial_record(
            0, (0.5,), outcome="running", place=Place(node, since), mishap=Mishap("a", "its node was lost", lost)
        )

    lost, elsewhere, of_before = at(1000.0, 1010.0, "a"), at(1020.0, 1010.0, "b"), at(999.0, 990.0, "a")
    assert "0 running, 1 waiting for room, 0 finished" in progress_line(moment([lost]))
    for waiting in (lost, of_before):
        assert running_lines(moment([waiting]))[0].endswith("  waits for room")
    assert "1 running, 0 finished" in progress_line(moment([elsewhere]))
    assert not running_lines(moment([elsewhere]))[0].endswith("  waits for room")


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_in_mid_word(width: int) -> None:
    rows = progress_rows(moment(left=TimeLeft(115.0, 200.0, 300.0)))
    view = ProgressView(Console(), lambda: (RECORDS, summary()), PLAN)
    table = shown(lambda console: console.print(view._table()), width)
    assert max(map(len, table.splitlines())) <= width
    for name, value in rows[:-1]:
        for word in name.split() + value.split():
            assert word in words(table), word


def test_the_conclusion_of_one_that_went_on_does_not_take_its_time_for_all(tmp_path: Path) -> None:
    directory = run_directory(str(tmp_path), "name")
    end = SearchEnd("name", "id", "digits", False, by_signal("Ctrl-C"), 1.0, 65.0)
    gone_on = replace(end, has_gone_on=True)
    for found, expected in ((end, " architectures in 1 min 5 s: "), (gone_on, " architectures, 1 min 5 s since it")):
        show = functools.partial(
            print_conclusion, directory=directory, end=found, summary=summary(), mlflow_lines=[], further=None
        )
        assert expected in " ".join(words(shown(show, 200)))


def test_a_trial_that_inherited_says_from_whom_and_how_far_it_goes() -> None:
    running = trial_record(9, (0.5,), outcome="running", inheritance=Inheritance(0, 3))
    (line,) = running_lines(moment([running]))
    assert line == f"9  {running.architecture.label}  epoch 1 of 3 from the weights of 0, 50.00%"
    done = replace(running, outcome="inherited")
    assert "0 running, 0 finished, 1 inherited" in progress_line(moment([done]))


def test_of_anchors_that_were_over_a_limit_nothing_is_promised(tmp_path: Path) -> None:
    end = SearchEnd("name", "id", "digits", False, by_signal("Ctrl-C"), 1.0, 65.0)
    directory = run_directory(str(tmp_path), "name")
    for anchor, expected in ((True, "accurate member and the anchors reach in"), (False, "accurate member reaches in")):
        found = summarise([replace(record, anchor=anchor and record.anchor) for record in RECORDS], (0.1, 1e9))
        assert bool(found.anchor_gains) == anchor
        show = functools.partial(
            print_conclusion, directory=directory, end=end, summary=found, mlflow_lines=[], further=None
        )
        assert expected in " ".join(words(shown(show, 200)))


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_conclusion_is_not_cut_either(width: int, terminal: bool, tmp_path: Path) -> None:
    end = SearchEnd("name", "id", "digits", True, by_signal("Ctrl-C"), 1.0, 65.0)
    directory = run_directory(str(tmp_path), "name")
    text = shown(
        lambda console: print_conclusion(console, directory, end, summary(), [], "the way on"), width, terminal
    )
    flowing = " ".join(words(text))
    assert "ended by Ctrl-C; what is cut off or held goes on where it was" in flowing
    assert "2 trained to the end, 0 stopped early, 3 failed, 1 held at a rung, 2 cut off;" in flowing
    assert f"2 × diverged: {LOSS} …" in flowing
    assert "1 × failed: RuntimeError: what [bold]no markup[/bold] can say in a few words" in flowing
    for member in RECORDS[:2]:
        assert set(member.architecture.label.split()) <= set(words(text))
    if terminal:
        # Only what has to be one line is wider than the terminal.
        long = [line for line in text.splitlines() if len(line.rstrip()) > width]
        assert all(str(tmp_path) in line or "nas/search.py" in line for line in long)


def test_a_failure_is_said_once_and_an_old_one_not_at_all() -> None:
    records = [trial_record(0, (), outcome="failed", reason="old")]
    file = io.StringIO()
    console = Console(file=file, width=80)
    with ProgressView(console, lambda: (records, summary(records)), PLAN, interval_seconds=0.02):
        time.sleep(0.1)
        records.append(trial_record(1, (), outcome="failed", reason="new [red]reason[/red]"))
        time.sleep(0.2)
        records.append(trial_record(2, (), outcome="oom", reason="last"))
    text = file.getvalue()
    assert text.count("trial 1 failed: new [red]reason[/red]") == 1 == text.count("trial 2 ran out of memory: last")
    assert "old" not in text


SCRIPT = """
import time
from rich.console import Console
from nas.driver.progress import ProgressView
from tests.support.progress_moment import PLAN, RECORDS, summary
with ProgressView(Console(highlight=False), lambda: (RECORDS, summary()), PLAN, interval_seconds=0.1):
    time.sleep(1.5)
print("over")
"""


def on_a_terminal(**environment: str) -> str:
    """What the view shows in a process of its own on a terminal of 60 columns."""
    parent, child = pty.openpty()
    variables = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    variables |= {"PYTHONPATH": str(PROJECT), "COLUMNS": "60"} | environment
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdin=child, stdout=child, stderr=child, env=variables)
    os.close(child)
    output = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:  # The other side is closed.
            break
        if not part:
            break
        output += part
    os.close(parent)
    assert process.wait(timeout=60) == 0, output
    return output.decode()


def test_a_dumb_terminal_gets_lines_broken_between_words() -> None:
    text = on_a_terminal(TERM="dumb")
    assert "\x1b" not in text and "over" in text
    flowing = " ".join(text.split())
    assert "2 running, 2 finished, 1 held" in flowing and "epoch 2 of 9, 45.23%" in flowing
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 60


def test_without_colour_the_table_is_still_drawn() -> None:
    text = on_a_terminal(TERM="xterm-256color", NO_COLOR="1")
    assert "45.23%" in text and "held" in text
    # Moving the cursor and bold type are no colours.
    assert not re.search(r"\x1b\[(\d+;)*[34]\d(;\d+)*m", text)


def test_no_terminal_gets_whole_lines() -> None:
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "COLUMNS": "60"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment, check=True)
    lines = done.stdout.splitlines()
    assert "\x1b" not in done.stdout and done.stderr == "" and lines[-1] == "over"
    assert lines[0].startswith(
        "6 of at most 12 architectures trained: 2 running, 2 finished, 1 held, 2 diverged, 1 failed; front 2"
    )


def test_no_silence_is_longer_than_promised() -> None:
    assert PLAIN_INTERVAL_SECONDS < SILENCE_SECONDS and SAID_AGAIN_SECONDS < SILENCE_SECONDS
    assert SAID_AFTER_SECONDS + progress_module.PLAIN_INTERVAL_SECONDS < SILENCE_SECONDS


def test_a_step_is_said_again_and_again_and_a_quick_one_not_at_all() -> None:
    file = io.StringIO()
    console = Console(file=file)
    with step(console, "doing a slow thing", said_after=0.02, said_again=0.02):
        time.sleep(0.5)
    with step(console, "doing a quick thing", said_after=60.0):
        pass
    lines = file.getvalue().splitlines()
    assert lines[0] == "doing a slow thing …" and len(lines) > 2
    assert all(line.startswith("still doing a slow thing, since ") for line in lines[1:])


def test_a_context_is_left_whatever_happens_within() -> None:
    left: list[str] = []

    class Context:
        def __enter__(self) -> int:
            return 7

        def __exit__(self, *exception: object) -> None:
            left.append("left")

    console = Console(file=io.StringIO())
    with said(console, Context(), "beginning", "ending") as value:
        assert value == 7
    with pytest.raises(RuntimeError), said(console, Context(), "beginning", "ending"):
        raise RuntimeError
    assert left == ["left", "left"]
