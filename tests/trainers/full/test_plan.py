import dataclasses

import pytest

from search_spaces.errors import UserError
from tests.support.tiny_training import DATA, RECIPE
from trainers.data.datasets import check_data
from trainers.full.plan import check_batch


@pytest.mark.parametrize(("batch_size", "processes"), [(33, 2), (4, 4), (600, 500)])
def test_processes_get_equal_shares_of_at_least_two_images(batch_size: int, processes: int) -> None:
    recipe, summary = dataclasses.replace(RECIPE, batch_size=batch_size), check_data(DATA)
    with pytest.raises(UserError, match=f"recipe.batch_size is {batch_size}: {processes} processes need"):
        check_batch(recipe, summary, processes)
    check_batch(dataclasses.replace(RECIPE, batch_size=2 * processes), summary, processes)
    with pytest.raises(UserError, match="at least two of the 999 images each"):
        check_batch(dataclasses.replace(RECIPE, batch_size=1000), dataclasses.replace(summary, train_images=999), 500)
