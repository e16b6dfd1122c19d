"""Writes docs/settings.md: every setting with its default, from the files and classes that hold them.

python -m tests.project.draw_settings
"""

import dataclasses
import inspect
import re

from tests.project.rooms import PROJECT
from trainers.data.config import DATA_DEFAULTS, DataConfig
from trainers.recipe import Recipe

PAGE = PROJECT / "docs" / "settings.md"
SEARCH = PROJECT / "nas" / "conf" / "search.yaml"
SPACE = PROJECT / "search_spaces" / "resnet_stages.yaml"

INTRODUCTION = """\
# Every setting

This page is made from the code: `python -m tests.project.draw_settings`.

Settings are given as `KEY=VALUE` on the command line, as `search.trials=8`, or by a file: `--print-config` prints what
a command comes to, and `--config FILE` takes it back. `null` stands for none. A name that does not exist is refused
with the nearest that does. A search that goes on (`--resume`) may change its limits and little else; it says what
differs.

A full training (`python trainers/train.py BUNDLE`) takes `data.*` and `recipe.*` as below; a search calls the recipe of
its trials `training.*`, too."""


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION, *_sections(), _data(), _recipe(), _space()]
    return "\n\n".join(parts) + "\n"


def _sections() -> list[str]:
    """The sections of the YAML of a search, its comments being what each setting is."""
    parts: list[str] = []
    rows: list[str] = []
    for line in SEARCH.read_text(encoding="utf-8").splitlines():
        if section := re.fullmatch(r"(\w+):", line):
            rows = [] if section[1] != "defaults" else rows
            name = section[1]
            if name != "defaults":
                rows = [f"## `{name}.*`", "", "| setting | default | |", "|---|---|---|"]
                parts.append("")
        elif (setting := re.fullmatch(r"  (\w+): (.*?)(?: +# (.*))?", line)) and rows:
            said = (setting[3] or "").replace("|", "\\|")
            rows.append(f"| `{name}.{setting[1]}` | `{setting[2]}` | {said} |")
            parts[-1] = "\n".join(rows)
    return parts


def _data() -> str:
    """The data sets, and how each is read."""
    names = [field.name for field in dataclasses.fields(next(iter(DATA_DEFAULTS.values())))][1:]
    heads = ["`data=`", *(f"`data.{name}`" for name in names)]
    rows = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for name, config in DATA_DEFAULTS.items():
        rows.append(f"| `{name}` | {' | '.join(f'`{_text(getattr(config, key))}`' for key in names)} |")
    heading = ["## `data.*`", "", "`data=NAME` takes one of these, and its settings:", ""]
    return "\n".join([*heading, *rows, "", _docstring(DataConfig)])


def _recipe() -> str:
    """The fields of a recipe, those that come with the project, and what the fields mean."""
    rows = ["| field | where a file leaves it out |", "|---|---|"]
    for field in dataclasses.fields(Recipe):
        default = "has to be there" if field.default is dataclasses.MISSING else f"`{_text(field.default)}`"
        rows.append(f"| `recipe.{field.name}` | {default} |")
    names = ", ".join(f"`{path.stem}`" for path in sorted((PROJECT / "trainers" / "recipes").glob("*.yaml")))
    heading = [
        "## `recipe.*`",
        "",
        f"`recipe=NAME` takes one of {names}, or a file as those in `trainers/recipes/`.",
        "",
    ]
    return "\n".join([*heading, *rows, "", _docstring(Recipe)])


def _space() -> str:
    text = SPACE.read_text(encoding="utf-8").rstrip()
    said = (
        "The space that comes with the project, by stages; a file of your own has the same keys (`--space mine.yaml`)."
    )
    return "\n".join(["## `space.*`", "", said, "", "```yaml", text, "```"])


def _docstring(of: type) -> str:
    """What a docstring says of the fields, which is all but its first sentence and what is raised."""
    fields = (inspect.getdoc(of) or "").partition("\n\n")[2]
    return fields.partition("Raises UserError")[0].rstrip()


def _text(value: object) -> str:
    return "null" if value is None else str(value)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
