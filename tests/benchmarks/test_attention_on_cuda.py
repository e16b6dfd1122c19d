"""The forms that the benchmark compares on a GPU compute one function; here on the CPU."""

import pytest
import torch

from tests.benchmarks import attention
from tests.benchmarks.attention_on_cuda import attention_inputs, forms_of


def test_every_form_gives_the_references_output() -> None:
    torch.manual_seed(0)
    # Without gradients: FlexAttention has none on a CPU.
    inputs = [tensor.detach() for tensor in attention_inputs(2, 5, 4, 3, "cpu", torch.float32)]
    inputs[3:] = [50 * embedding for embedding in inputs[3:]]
    forms = forms_of(inputs, 3, compiled=False)
    for form in ("blocks", "flex"):
        torch.testing.assert_close(forms[form](), forms["unfold"](), rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(torch.cuda.is_available(), reason="it would run")
def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["attention.py", "--device", "cuda"])
    with pytest.raises(SystemExit, match="no CUDA device"):
        attention.main()
