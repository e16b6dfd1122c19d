"""Draws the rooms into docs/architecture.md, from the table that the boundary tests hold the code against.

python -m tests.project.draw_rooms
"""

import ast

from tests.project.rooms import ENTRIES, MAY_IMPORT, PACKAGES, PROJECT

PAGE = PROJECT / "docs" / "architecture.md"
BEGIN, END = "<!-- rooms: made by python -m tests.project.draw_rooms -->", "<!-- end of rooms -->"


def drawing() -> str:
    """The picture, as a Mermaid flowchart, and the rooms with what each is for."""
    return f"{BEGIN}\n```mermaid\n{_flowchart()}\n```\n\n{_table()}\n{END}"


def page_with(page: str, new: str) -> str:
    """A page with `new` in place of the drawing that it holds."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + new + after


def _flowchart() -> str:
    lines = ["flowchart BT"]
    for package in PACKAGES:
        lines.append(f"  subgraph {package}")
        lines += [f"    {_node(room)}[{room}]" for room in MAY_IMPORT if room.partition(".")[0] == package]
        lines.append("  end")
    lines += [f"  {_node(room)} --> {_node(other)}" for room in MAY_IMPORT for other in sorted(_nearest(room))]
    return "\n".join(lines)


def _node(room: str) -> str:
    # `end` and dots mean something to Mermaid.
    return "room_" + room.replace(".", "_")


def _nearest(room: str) -> set[str]:
    """The rooms that a room may import, short of those that one of them may import itself, directly or not."""
    direct = set(MAY_IMPORT[room])
    if room == "search_spaces.attention":
        return direct
    return {other for other in direct if not any(other in _reached(another) for another in direct - {other})}


def _reached(room: str) -> set[str]:
    """All that can be reached from a room by what rooms may import, the room itself left out."""
    found: set[str] = set()
    waiting = [room]
    while waiting:
        for other in MAY_IMPORT[waiting.pop()] - found - {room}:
            found.add(other)
            waiting.append(other)
    return found


def _table() -> str:
    rows = ["| room | what it is for | may import, of its own package |", "|---|---|---|"]
    for room, others in MAY_IMPORT.items():
        if room not in ENTRIES:
            own = [
                other for other in MAY_IMPORT if other in others and other.partition(".")[0] == room.partition(".")[0]
            ]
            rows.append(f"| `{room}` | {_purpose(room)} | {', '.join(f'`{other}`' for other in own) or '–'} |")
    return "\n".join(rows)


def _purpose(room: str) -> str:
    source = (PROJECT / room.replace(".", "/") / "__init__.py").read_text(encoding="utf-8")
    text = ast.get_docstring(ast.parse(source))
    assert text is not None, room
    return " ".join(text.partition("\n\n")[0].split())


if __name__ == "__main__":
    PAGE.write_text(page_with(PAGE.read_text(encoding="utf-8"), drawing()), encoding="utf-8")
