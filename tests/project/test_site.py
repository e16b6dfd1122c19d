"""The pages as a site, built as `make docs` does."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.project.rooms import PROJECT
from tests.project.site_pages import in_site, places


class Addresses(HTMLParser):
    """What a page loads by itself, and where its links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name == "src" or (name == "href" and tag == "link"):
                self.loaded.append(value or "")
            elif name == "href":
                self.linked.append(value or "")


@pytest.mark.skipif(find_spec("mkdocs") is None, reason="the group docs is not installed")
def test_the_site_is_whole_and_needs_no_network(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    pages = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*.html")}
    made = {place.removesuffix(".md").replace("README", "index") + ".html" for place in places().values()}
    assert {name for name in made if not name.endswith("png.html")} <= pages.keys()
    for page in pages.values():
        found = Addresses(page.read_text(encoding="utf-8"))
        assert [address for address in found.loaded if urlsplit(address).netloc] == [], page
        for address in (*found.loaded, *found.linked):
            path = urlsplit(address).path
            if path and not urlsplit(address).scheme and page.name != "404.html":
                assert (page.parent / path).exists(), (page, address)
    for style in tmp_path.rglob("*.css"):
        assert not re.search(r"@import|url\(['\"]?https?:", style.read_text(encoding="utf-8")), style


def test_links_lead_to_where_pages_are_in_the_site() -> None:
    fence = "```\n[a](docs/bundle.md)\n```"
    text = "See [a](docs/bundle.md#x), [code](nas/report.py) and ![p](docs/report.png).\n- one\n"
    assert in_site(text + fence, "README.md") == ("See [a](bundle.md#x), code and ![p](report.png).\n\n- one\n" + fence)
    assert in_site("[r](../README.md) [s](search.md)", "docs/decisions.md") == "[r](index.md) [s](search.md)"
    assert in_site("[up](../README.md)", "cluster/slurm/README.md") == "[up](../README.md)"
    with pytest.raises(AssertionError, match=r"leads to gone\.md"):
        in_site("[r](gone.md)", "README.md")
