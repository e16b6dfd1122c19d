"""MkDocs' hooks: brings the pages beside docs/ into the site, and has links lead to where their targets are there.

Pages are written for whoever reads them in the repository. What a link leads to there and is no page, as a file of the
code, is named in the site without a link.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
# Pages beside docs/, and where they are in the site.
BESIDE = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md"}

_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")
_FENCE = re.compile(r"(?ms)^```.*?^```$")
_LIST_AFTER_TEXT = re.compile(r"(?m)^(?![-*|#>\s]|\d+\.)(.+)\n(?=(?:[-*]|\d+\.) )")


def places() -> dict[str, str]:
    """Where each page and picture is in the site, by its path in the project."""
    found = {path.relative_to(PROJECT).as_posix(): path.name for path in (PROJECT / "docs").iterdir() if path.is_file()}
    cluster = (path.relative_to(PROJECT).as_posix() for path in (PROJECT / "cluster").rglob("*.md"))
    return found | BESIDE | {name: name for name in cluster}


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages that lie beside docs/."""
    from mkdocs.structure.files import File

    for source, place in places().items():
        if not source.startswith("docs/"):
            files.append(File.generated(config, place, abs_src_path=str(PROJECT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """The page with its links rewritten."""
    sources = {place: source for source, place in places().items()}
    return in_site(markdown, sources[page.file.src_uri])


def in_site(markdown: str, source: str) -> str:
    """A page of the project as the site has it. Code in fences stays as it is."""
    parts, fences = _FENCE.split(markdown), _FENCE.findall(markdown)
    changed = [_rewritten(part, source) for part in parts]
    return "".join(text for pair in zip(changed, [*fences, ""], strict=True) for text in pair)


def _rewritten(text: str, source: str) -> str:
    where = places()

    def link(found: re.Match[str]) -> str:
        picture, words, target, anchor = found.groups()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if path not in where:
            assert (PROJECT / path).exists(), f"{source} leads to {target}, which is not there"
            return words
        place = posixpath.relpath(where[path], posixpath.dirname(where[source]) or ".")
        return f"{picture}[{words}]({place}{anchor or ''})"

    # Markdown as GitHub has it begins a list below a line of text; Python's wants an empty line between.
    return _LIST_AFTER_TEXT.sub(r"\1\n\n", _LINK.sub(link, text))
