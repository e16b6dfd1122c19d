"""The forms that the benchmark compares on a GPU compute one function; here on the CPU."""

import pytest
import torch

from tests.benchmarks import attention, attention_on_cuda
from tests.benchmarks.attention_on_cuda import attention_inputs, forms_of


def test_every_form_gives_the_references_output() -> None:
    torch.manual_seed(0)
    # Without gradients: FlexAttention has none on a CPU.
    inputs = [tensor.detach() for tensor in attention_inputs(2, 5, 4, 3, "cpu", torch.float32)]
    inputs[3:] = [50 * embedding for embedding in inputs[3:]]
    forms = forms_of(inputs, 3, compiled=False)
    for form in ("blocks", "flex"):
        torch.testing.assert_close(forms[form](), forms["unfold"](), rtol=1e-4, atol=1e-4)


def test_a_peer_that_fails_costs_no_other_its_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(attention_on_cuda, "median_ms", lambda run, runs: float(run() is not None))
    monkeypatch.setattr(attention_on_cuda, "peak_megabytes", lambda run: 1.0)

    def refuses() -> torch.Tensor:
        raise NotImplementedError("at least 16 channels\nand much more")

    ones = torch.ones(1, requires_grad=True)
    forms = {"flex": (refuses, [ones]), "blocks": (lambda: 2 * ones, [ones])}
    found = attention_on_cuda.figures_of(forms, "a stage")
    assert found == {"blocks": {"forward_ms": 1.0, "both_ms": 1.0, "megabytes": 1.0}}
    assert capsys.readouterr().out == "flex at a stage cannot do this: at least 16 channels\n"
    with pytest.raises(NotImplementedError):
        attention_on_cuda.figures_of({"triton": (refuses, [ones])}, "a stage")


@pytest.mark.skipif(torch.cuda.is_available(), reason="it would run")
def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["attention.py", "--device", "cuda"])
    with pytest.raises(SystemExit, match="no CUDA device"):
        attention.main()
