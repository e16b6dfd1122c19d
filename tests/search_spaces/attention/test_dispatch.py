"""How a backend is chosen."""

import pytest
import torch

from search_spaces.attention import dispatch, measurements
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


class TestTriton:
    """A stand-in for a tensor on a GPU: what is asked of it is its device, its shape and its dtype."""

    @pytest.fixture(autouse=True)
    def installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dispatch, "has_triton", lambda: True)
        monkeypatch.setattr(dispatch, "_is_written_out", lambda tensor: False)
        monkeypatch.setattr(measurements, "_name", lambda device: "A GPU")

    @staticmethod
    def on_a_gpu(dtype: torch.dtype = torch.bfloat16, channels: int = 8) -> torch.Tensor:
        class OnGpu(torch.Tensor):
            device = torch.device("cuda")

        return torch.empty(2, 4, 4, 2, channels, dtype=dtype).as_subclass(OnGpu)

    def test_an_unmeasured_kernel_is_nobodys_default(self) -> None:
        assert measurements.TRITON_FASTEST == {}
        assert backend_for(self.on_a_gpu(), "auto", 7) == "blocks"
        assert backend_for(self.on_a_gpu(), "triton", 7) == "triton"

    def test_it_is_taken_where_it_was_measured_and_fits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(measurements.TRITON_FASTEST, "A GPU", ["bfloat16"])
        assert backend_for(self.on_a_gpu(), "auto", 7) == "triton"
        assert backend_for(self.on_a_gpu(torch.float32), "auto", 7) == "blocks"
        assert backend_for(self.on_a_gpu(), "auto", 15) == "blocks"
        assert backend_for(self.on_a_gpu(channels=130), "auto", 7) == "blocks"
        monkeypatch.setattr(dispatch, "has_triton", lambda: False)
        assert backend_for(self.on_a_gpu(), "auto", 7) == "blocks"

    def test_what_it_cannot_do_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(UserError, match="up to 13, not 15"):
            backend_for(self.on_a_gpu(), "triton", 15)
        with pytest.raises(UserError, match="up to 128 channels a head, not 130"):
            backend_for(self.on_a_gpu(channels=130), "triton", 7)
        with pytest.raises(UserError, match="runs on CUDA, and the input is on meta"):
            backend_for(torch.empty(1, device="meta"), "triton")
        monkeypatch.setattr(dispatch, "has_triton", lambda: False)
        with pytest.raises(UserError, match="not installed"):
            backend_for(self.on_a_gpu(), "triton", 7)
