"""The pages about the code: drawn from the code, and leading to what is there."""

import ast
import re
from pathlib import Path

import pytest

from tests.project.draw_rooms import PAGE, drawing
from tests.project.rooms import PROJECT

PAGES = [PROJECT / name for name in ("README.md", "CONTRIBUTING.md")]
PAGES += sorted((PROJECT / "cluster").rglob("*.md"))
PAGES += sorted((PROJECT / "docs").glob("*.md"))


def test_the_picture_of_the_rooms_is_drawn_from_the_table() -> None:
    # Out of date: python -m tests.project.draw_rooms
    assert drawing() in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(
        r"`((?:nas|trainers|search_spaces|cluster|vision_architecture_search|tests|docs)"
        r"/[\w/.*-]+\.(?:py|md|yaml|html|json|csv))`",
        text,
    )
    linked = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    missing = [name for name in named if not list(PROJECT.glob(name))]
    missing += [name for name in linked if not (page.parent / name).exists()]
    assert missing == []


def names_in(source: str) -> set[str]:
    """What a module defines: functions, classes and what they hold, constants and fields."""
    nodes = list(ast.walk(ast.parse(source)))
    named = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    assigned: list[ast.expr] = [node.target for node in nodes if isinstance(node, ast.AnnAssign)]
    assigned += [target for node in nodes if isinstance(node, ast.Assign) for target in node.targets]
    return named | {target.id for target in assigned if isinstance(target, ast.Name)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_what_a_page_says_is_in_a_file_is_there(page: Path) -> None:
    pairs = re.findall(r"`([\w.]+)(?:\(\))?`\s+(?:in|of)\s+`(\w+/[\w/]+\.py)`", page.read_text(encoding="utf-8"))
    if page.name == "architecture.md":
        assert len(pairs) > 20
    missing = [
        (name, file)
        for name, file in pairs
        if not set(name.split(".")) <= names_in((PROJECT / file).read_text(encoding="utf-8"))
    ]
    assert missing == []
