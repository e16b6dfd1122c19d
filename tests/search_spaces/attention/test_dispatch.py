"""How a backend is chosen."""

import pytest
import torch

from search_spaces.attention import dispatch
from search_spaces.attention.dispatch import backend_for
from search_spaces.errors import UserError


def test_a_backend_is_chosen_by_device_and_dtype() -> None:
    assert backend_for(torch.empty(2, 4, 4, 2, 4)) == "numba"
    assert backend_for(torch.empty(2, 4, 4, 2, 4, dtype=torch.bfloat16)) == "numba"
    assert backend_for(torch.empty(2, 4, 4, 2, 4, dtype=torch.float64)) == "blocks"
    assert backend_for(torch.empty(2, 4, 4, 2, 4, device="meta")) == "reference"


def test_a_backend_can_be_forced() -> None:
    for backend in ("reference", "blocks", "numba"):
        assert backend_for(torch.empty(2, 4, 4, 2, 4), backend) == backend


def test_an_unknown_backend_is_named() -> None:
    with pytest.raises(UserError, match=r"'block'.*Did you mean 'blocks'"):
        backend_for(torch.empty(1), "block")  # type: ignore[arg-type]


def test_numba_needs_a_cpu() -> None:
    with pytest.raises(UserError, match="meta"):
        backend_for(torch.empty(1, device="meta"), "numba")


def test_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "has_numba", lambda: False)
    assert backend_for(torch.empty(2, 4, 4, 2, 4)) == "blocks"
    with pytest.raises(UserError, match="not installed"):
        backend_for(torch.empty(2, 4, 4, 2, 4), "numba")
