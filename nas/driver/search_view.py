"""A running search as it is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.driver.commands import background_of
from nas.engine.engine import Engine
from nas.records.search_facts import SearchFacts
from nas.records.summary import Summary, summarise
from nas.records.trial import TrialRecord
from nas.reporting.background import Background
from nas.reporting.write import write_report
from nas.settings.run_directory import RunDirectory


@dataclass(frozen=True, slots=True)
class SearchView:
    """A running search as it is shown: in the terminal, in MLflow and in its report."""

    engine: Engine
    facts: SearchFacts
    directory: RunDirectory

    @property
    def background(self) -> Background:
        return background_of(self.directory, self.engine.ledger.header, self.engine.ledger.driver)

    def summary(self) -> Summary:
        facts = self.facts
        return summarise(self.engine.records, facts.reference, facts.cost_names, facts.data.validation_images)

    def state(self) -> tuple[Sequence[TrialRecord], Summary]:
        return self.engine.records, self.summary()

    def write_report(self) -> list[Path]:
        return write_report(self.directory.report, self.facts, self.engine.records, self.background)
