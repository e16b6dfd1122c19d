"""A small search with every kind of trial, and the reading of a report's page."""

import json
from html.parser import HTMLParser
from typing import Any

from nas.records.search_facts import SearchFacts
from tests.support.searches import DIGITS, trial_record

FACTS = SearchFacts("name", DIGITS, 2, (0.1, 10_000_000.0))

RECORDS = [
    trial_record(0, (0.5, 0.80), flops=4_000_000, anchor=True),
    trial_record(1, (0.5, 0.90), flops=8_000_000, anchor=True),
    trial_record(2, (0.5, 0.85), flops=3_000_000),
    trial_record(3, (0.7,), flops=1_000_000, outcome="stopped", reason="rung of epoch 1"),
    trial_record(4, (), flops=30_000_000, outcome="rejected", reason="over, the limit", started_at=None),
    trial_record(5, (), outcome="running", finished_at=None),
    trial_record(6, (0.3,), outcome="running", finished_at=None),
    trial_record(7, (0.2,), outcome="diverged", reason="the loss is not finite"),
    trial_record(8, (), outcome="failed", reason="RuntimeError: out of memory"),
    trial_record(9, (), outcome="duplicate", duplicate_of=2),
]


class Page(HTMLParser):
    """The tags of a page, the text of its title, and the data that its script draws."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        self._inside = dict(attributes).get("id") or tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        self.texts[self._inside] = self.texts.get(self._inside, "") + data

    @property
    def data(self) -> dict[str, Any]:
        return json.loads(self.texts["data"])

    def drawn(self, *roles: str) -> list[int]:
        """The trials in the traces of the front's figure that have one of these roles."""
        traces = self.data["figures"]["front"]["data"]
        return [number for trace in traces if trace["meta"]["role"] in roles for number in trace["customdata"]]
