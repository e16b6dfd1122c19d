"""Links and notes that lead to a search in the MLflow UI."""

from nas.tracking.saved_view import TAG_PREFIX
from nas.tracking.views import compared_links, experiment_note, front_path, links, view_tags


def test_the_links_lead_to_the_views_that_the_tags_hold() -> None:
    line = links("7", "run", "abc")
    slugs = [key.removeprefix(TAG_PREFIX) for key in view_tags("abc", "name", 0)]
    assert len(slugs) == 2 and all(f"viewStateShareKey={slug}&" in line for slug in slugs)
    assert front_path("7", "abc") in line and "#/experiments/7/runs/run/artifacts/front.html?" in line
    assert "\n" not in line


def test_the_latest_search_stands_first_in_the_note_and_once() -> None:
    first, second = links("7", "run1", "a"), links("7", "run2", "b")
    note = experiment_note("", "7", "one", first)
    assert note == f"{first} of one"
    note = experiment_note(note, "7", "two", second)
    assert note.splitlines() == [f"{second} of two", "", f"{first} of one"]
    note = experiment_note(note, "7", "one", first)
    assert note.splitlines() == [f"{first} of one", "", f"{second} of two"]
    assert experiment_note(note, "7", "one", first) == note


def test_the_latest_search_and_the_latest_comparison_share_the_line_that_is_shown() -> None:
    one, two = links("7", "run1", "a"), links("7", "run2", "b")
    compared, again = (compared_links("8", "run", key, "page.html") for key in ("ab", "ba"))
    note = experiment_note(experiment_note("A word.", "7", "one", one), "7", "one · two", compared)
    assert note.splitlines() == [f"{one} of one · {compared} of one · two", "", "A word."]
    note = experiment_note(note, "7", "two", two)
    assert note.splitlines() == [f"{two} of two · {compared} of one · two", "", f"{one} of one", "", "A word."]
    note = experiment_note(note, "7", "two · one", again)
    shown, _, older, _, earlier, *_ = note.splitlines()
    assert (shown, older, earlier) == (
        f"{two} of two · {again} of two · one", f"{compared} of one · two", f"{one} of one",
    )  # fmt: skip
    assert experiment_note(note, "7", "two · one", again) == note


def test_what_a_person_wrote_stays() -> None:
    written = "Searches on digits.\n\nAsk [Ann](https://example.org)."
    note = experiment_note(written, "7", "one", links("7", "run1", "a"))
    assert note.startswith("[Front](") and note.endswith(f"\n\n{written}")
    again = experiment_note(note, "7", "two", links("7", "run2", "b"))
    assert again.endswith(f"\n\n{written}") and again.count("[Front](") == 2


def test_old_searches_leave_the_note() -> None:
    note = ""
    for index in range(300):
        note = experiment_note(note, "7", f"search{index}", links("7", f"run{index}", f"{index:032x}"))
    # MLflow refuses longer values of an experiment's tag.
    assert note.count("[Front](") == 20 and len(note) < 20_000 and "of search299" in note
