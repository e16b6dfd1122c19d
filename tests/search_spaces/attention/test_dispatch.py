"""How a backend is chosen."""

import dataclasses
from collections.abc import Iterator
from functools import partial

import pytest
import torch

from search_spaces.attention import dispatch, triton_choice
from search_spaces.attention.device_table import DeviceTable, Measurement
from search_spaces.attention.dispatch import backend_for, stem_backend_for
from search_spaces.attention.measurements import is_triton_fastest
from search_spaces.errors import UserError

FASTER = Measurement("local", "bfloat16", channels=8, extent=7, width=56, triton_ms=1.0, blocks_ms=2.0)
SLOWER_WIDE = dataclasses.replace(FASTER, channels=64, triton_ms=5.0)


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
    def installed(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        self.know(monkeypatch)
        monkeypatch.setattr(triton_choice, "has_triton", lambda: True)
        monkeypatch.setattr(dispatch, "_is_written_out", lambda tensor: False)
        monkeypatch.setattr(triton_choice, "_capability", lambda index: (9, 0))
        monkeypatch.setattr(triton_choice, "start_problem", lambda: None)
        triton_choice._say.cache_clear()
        yield
        triton_choice._say.cache_clear()
        triton_choice._why_not.cache_clear()

    @staticmethod
    def know(monkeypatch: pytest.MonkeyPatch, *measurements: Measurement) -> None:
        """These are what was measured on the GPU."""
        monkeypatch.setattr(triton_choice, "device_table", lambda index: DeviceTable({}, measurements))
        triton_choice._why_not.cache_clear()

    @staticmethod
    def on_a_gpu(dtype: torch.dtype = torch.bfloat16, channels: int = 8) -> torch.Tensor:
        class OnGpu(torch.Tensor):
            device = torch.device("cuda")

        return torch.empty(2, 4, 4, 2, channels, dtype=dtype).as_subclass(OnGpu)

    def test_an_unmeasured_kernel_is_nobodys_default_and_that_is_said_once(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        for _ in range(2):
            assert backend_for(self.on_a_gpu(), "auto", 7) == "blocks"
        assert [record.message for record in caplog.records] == [
            "attention on this GPU is computed in plain torch, since the Triton kernels were not measured on this "
            "device for local attention in bfloat16: `python -m search_spaces.attention.tune` does that"
        ]
        assert backend_for(self.on_a_gpu(), "triton", 7) == "triton"

    def test_it_is_taken_where_it_was_measured_to_be_faster_and_fits(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.know(monkeypatch, FASTER, SLOWER_WIDE)
        assert backend_for(self.on_a_gpu(), "auto", 7) == "triton"
        assert not caplog.records
        assert backend_for(self.on_a_gpu(torch.float32), "auto", 7) == "blocks"
        assert "not measured on this device for local attention in float32" in caplog.text
        assert backend_for(self.on_a_gpu(channels=48), "auto", 7) == "blocks"
        assert "measured to be slower here for local attention in bfloat16" in caplog.text
        assert backend_for(self.on_a_gpu(), "auto", 15) == "blocks"
        assert "take spatial extents up to 13, not 15" in caplog.text
        assert backend_for(self.on_a_gpu(channels=130), "auto", 7) == "blocks"
        assert "take up to 128 channels a head, not 130" in caplog.text

    def test_an_old_gpu_and_a_missing_package_are_said(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.know(monkeypatch, FASTER)
        monkeypatch.setattr(triton_choice, "_capability", lambda index: (7, 5))
        assert backend_for(self.on_a_gpu(), "auto", 7) == "blocks"
        assert "need a GPU of compute capability 8.0 or more, and this has 7.5" in caplog.text
        monkeypatch.setattr(triton_choice, "has_triton", lambda: False)
        triton_choice._why_not.cache_clear()
        assert backend_for(self.on_a_gpu(), "auto", 7) == "blocks"
        assert "need the package triton, which is not installed" in caplog.text

    def test_what_does_not_start_is_not_taken(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """As on a node without a C compiler, whatever was measured on another."""
        self.know(monkeypatch, FASTER)
        problem = "cannot be launched from here, where Triton does not start (Failed to find C compiler)"
        monkeypatch.setattr(triton_choice, "start_problem", lambda: problem)
        assert backend_for(self.on_a_gpu(), "auto", 7) == "blocks"
        assert "Failed to find C compiler" in caplog.text
        with pytest.raises(UserError, match="Failed to find C compiler"):
            backend_for(self.on_a_gpu(), "triton", 7)
        # Nor is it asked where nothing is to start.
        triton_choice._why_not.cache_clear()
        monkeypatch.setattr(triton_choice, "start_problem", lambda: pytest.fail("was started"))
        assert backend_for(self.on_a_gpu(torch.float32), "auto", 7) == "blocks"

    def test_what_it_cannot_do_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(UserError, match="up to 13, not 15"):
            backend_for(self.on_a_gpu(), "triton", 15)
        with pytest.raises(UserError, match="up to 128 channels a head, not 130"):
            backend_for(self.on_a_gpu(channels=130), "triton", 7)
        with pytest.raises(UserError, match="not float64"):
            backend_for(self.on_a_gpu(torch.float64), "triton", 7)
        with pytest.raises(UserError, match="run on CUDA, and the input is on meta"):
            backend_for(torch.empty(1, device="meta"), "triton")
        monkeypatch.setattr(triton_choice, "has_triton", lambda: False)
        with pytest.raises(UserError, match="not installed"):
            backend_for(self.on_a_gpu(), "triton", 7)

    def test_the_stem_is_measured_by_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.know(monkeypatch, FASTER)
        images = self.on_a_gpu()
        assert stem_backend_for(images, torch.bfloat16, 16) == "blocks"
        self.know(monkeypatch, dataclasses.replace(FASTER, operation="stem"))
        assert stem_backend_for(images, torch.bfloat16, 16) == "triton"
        assert stem_backend_for(images, torch.bfloat16, 16, "blocks") == "blocks"
        assert stem_backend_for(torch.empty(1, 3, 2, 2), torch.bfloat16, 16) == "blocks"

    def test_a_graph_holds_the_answer(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        """As asked by what torch.compile reads: no graph break, and what is to be said is."""
        torch._dynamo.reset()

        def chosen(tensor: torch.Tensor) -> torch.Tensor:
            taken = triton_choice.takes_triton("local", None, tensor.dtype, int(tensor.shape[-1]), 7)
            return tensor + (1 if taken else 2)

        numbers = torch.zeros(3, 8)
        assert torch.compile(chosen, backend="eager", fullgraph=True)(numbers).unique().tolist() == [2]
        assert "not measured on this device for local attention in float32" in caplog.text
        self.know(monkeypatch, dataclasses.replace(FASTER, dtype="float32"))
        torch._dynamo.reset()
        assert torch.compile(chosen, backend="eager", fullgraph=True)(numbers).unique().tolist() == [1]


def test_the_nearest_measurement_counts() -> None:
    measured = (FASTER, SLOWER_WIDE, dataclasses.replace(FASTER, extent=3, triton_ms=3.0))
    fastest = partial(is_triton_fastest, measured, "local", "bfloat16")
    assert fastest(8, 7) and fastest(8, 13) and fastest(14, 7)
    assert fastest(8, 3) is False and fastest(64, 7) is False
    assert fastest(128, 3) is False
    assert is_triton_fastest(measured, "stem", "bfloat16", 8, 4) is None
    assert is_triton_fastest(measured, "local", "float16", 8, 7) is None
