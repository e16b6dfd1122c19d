import hashlib
import math

import pytest

from search_spaces.canonical_json import canonical_json
from search_spaces.paper_models import architecture_named


def test_equal_values_are_written_alike() -> None:
    assert canonical_json({"b": [1, 2.5, None], "ä": True}) == b'{"b":[1,2.5,null],"\\u00e4":true}'
    assert canonical_json({"x": 1, "y": 2}) == canonical_json({"y": 2, "x": 1})


def test_what_json_does_not_have_is_refused_where_it_is_asked_for() -> None:
    assert canonical_json([math.nan, math.inf]) == b"[NaN,Infinity]"
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json([math.nan], allow_nan=False)


def test_digests_stay_what_they_were() -> None:
    """Written down: with other digests no bundle and no ledger that exists could be read."""
    assert architecture_named("resnet50-attention").id == "b0140de461a1"
    assert hashlib.sha256(canonical_json({"b": 1, "a": 2})).hexdigest()[:12] == "d3626ac30a87"
