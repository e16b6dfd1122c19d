from collections.abc import Iterator

import pytest

from tests.support.searches import unsynchronised_sqlite


@pytest.fixture(scope="module", autouse=True)
def ledgers_that_need_not_survive_a_power_cut() -> Iterator[None]:
    with unsynchronised_sqlite():
        yield
