"""What a search was started with: it comes back equal, and the facts of its figures follow from it."""

import json

import pytest

from nas.records.earlier_search import EarlierSearch
from nas.settings.header import ForkOrigin, SearchHeader
from nas.settings.space_files import SpaceFile
from search_spaces.errors import UserError
from search_spaces.space_cost import flops_range
from tests.support.searches import search_header, search_settings, tiny_space

ANCHORS = tiny_space().anchors()
EVERYTHING = search_header(
    space_file=SpaceFile("/mine.yaml", ("space.depth=[14]",)),
    forked_from=ForkOrigin("old", "0" * 32, "abc", 3),
    earlier=(
        EarlierSearch("other", "1" * 32, 0.001, tuple((one, 0.25 * place) for place, one in enumerate(ANCHORS))),
        EarlierSearch("empty", "2" * 32, 0.5, ()),
    ),
    storage="s3://bucket/runs",
)


@pytest.mark.parametrize("header", [search_header(), EVERYTHING], ids=["plain", "everything"])
def test_a_header_comes_back_equal(header: SearchHeader) -> None:
    assert SearchHeader.from_json(json.loads(json.dumps(header.to_json()))) == header


def test_a_search_setting_that_a_header_lacks_has_its_default() -> None:
    stored = search_header().to_json()
    del stored["search"]["keep_checkpoints"]
    assert SearchHeader.from_json(stored) == search_header()


def test_a_header_with_anything_else_is_refused() -> None:
    stored = search_header().to_json()
    with pytest.raises(UserError, match="missing code_revision"):
        SearchHeader.from_json({key: value for key, value in stored.items() if key != "code_revision"})
    with pytest.raises(UserError, match=r"'slot'.*Did you mean 'slots'"):
        SearchHeader.from_json(stored | {"slot": 1})
    with pytest.raises(UserError, match="earlier search results: expected a list"):
        SearchHeader.from_json(
            stored | {"earlier": [{"name": "a", "search_id": "b", "resolution": 0.1, "results": [[1, 2, 3]]}]}
        )
    with pytest.raises(UserError, match="'trails'"):
        SearchHeader.from_json(stored | {"search": stored["search"] | {"trails": 1}})


def test_settings_are_named_in_full() -> None:
    settings = search_header().settings()
    assert settings["space.name"] == "resnet_stages" and settings["training.epochs"] == 2
    assert settings["search.sampler"] == "random" and settings["data.name"] == "digits"
    assert settings["space.depth"] == [14] and "data_summary.classes" not in settings


def test_facts_are_those_that_the_search_was_started_with() -> None:
    facts = search_header().facts("n", None)
    _, most = flops_range(tiny_space(), image_size=16, in_channels=1, classes=10)
    assert (facts.name, facts.full_epochs, facts.reference) == ("n", 2, (0.1, float(most)))
    limited = search_header(search=search_settings(max_flops=1e9)).facts("n", None)
    assert limited.reference == (0.1, 1e9) and limited.cost_name == "flops"
    on_latency = search_header(search=search_settings(objectives=["val_accuracy", "latency_ms"])).facts("n", 3.5)
    assert on_latency.reference == (0.1, 3.5) and on_latency.cost_name == "latency_ms"
