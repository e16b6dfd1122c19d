"""What a command line of `nas/search.py` asks for, as data."""

from dataclasses import dataclass

from nas.records.earlier_search import EarlierSearch
from nas.settings.cluster_settings import ClusterSettings
from nas.settings.header import ForkOrigin, SearchHeader
from nas.settings.search_settings import SearchSettings
from nas.settings.space_files import SpaceFile
from nas.settings.store_settings import LedgerSettings, StorageSettings, TrackingSettings
from search_spaces.space import Space
from trainers.data.config import DataConfig, DataSummary
from trainers.data.fingerprint import DataFingerprint
from trainers.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Command:
    """What the user asked for.

    `name` is the search's own. Where it goes on (`resume`) or begins with the results of another (`fork_of`),
    `previous` is the header of that search's ledger, and `unreadable` the images that it could not read, by their paths
    below data.root, which may have been mended since. `space_file` is where the space came from, with the overrides on
    top of it; None where it is one of those that come with the project. `plan` and `print_config`: nothing is started.
    """

    name: str
    resume: bool
    fork_of: str | None
    previous: SearchHeader | None
    plan: bool
    runs_dir: str
    space: Space
    space_file: SpaceFile | None
    data: DataConfig
    training: Recipe
    search: SearchSettings
    cluster: ClusterSettings
    storage: StorageSettings
    tracking: TrackingSettings
    ledger: LedgerSettings
    unreadable: tuple[str, ...] = ()
    print_config: bool = False

    def header(
        self,
        data_summary: DataSummary,
        slots: int,
        code_revision: str,
        data_fingerprint: DataFingerprint | None = None,
        forked_from: ForkOrigin | None = None,
        earlier: tuple[EarlierSearch, ...] = (),
    ) -> SearchHeader:
        """What the ledger of a search keeps that is begun with this command on `slots` workers."""
        return SearchHeader(
            space=self.space,
            space_file=self.space_file,
            data=self.data,
            training=self.training,
            search=self.search,
            data_summary=data_summary,
            slots=slots,
            code_revision=code_revision,
            data_fingerprint=data_fingerprint,
            forked_from=forked_from,
            earlier=earlier,
            storage=self.storage.address,
        )
