"""A ledger that another version of the project wrote is not opened, and which one it was is said."""

import json
import sqlite3
from pathlib import Path

import pytest

from nas.ledger.contents import LEDGER_FORMAT
from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from search_spaces.errors import UserError
from tests.support.searches import search_header


@pytest.mark.parametrize(("found", "which"), [(1, "an earlier"), (LEDGER_FORMAT + 1, "a later"), (None, "an earlier")])
def test_the_version_that_goes_on_with_it_is_named(tmp_path: Path, found: int | None, which: str) -> None:
    url = ledger_url(tmp_path / "search.db")
    Ledger.create(url, "search", search_header())
    with sqlite3.connect(tmp_path / "search.db") as connection:
        header = json.dumps({"value": {"ledger_format": found}})
        connection.execute("UPDATE study_user_attributes SET value_json = ? WHERE key = 'header'", (header,))
    with pytest.raises(UserError, match=rf"has format {found}: expected {LEDGER_FORMAT}; {which} version"):
        Ledger.open(url, "search")
