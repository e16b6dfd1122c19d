import pytest
import torch
from torch.nn import functional as F

from tests.support.images import in_memory
from tests.support.tiny_training import TINY
from trainers.data.config import DATA_DEFAULTS
from trainers.data.datasets import check_data, load_train_validation
from trainers.evaluation import evaluate
from trainers.model import seeded_model


def test_evaluation_agrees_with_one_pass_and_keeps_the_mode() -> None:
    config = DATA_DEFAULTS["digits"]
    data = in_memory(load_train_validation(config)[1])
    model = seeded_model(TINY, check_data(config), 0).train()
    loss, accuracy = evaluate(model, data, "cpu", 16)
    assert model.training
    model.eval()
    with torch.no_grad():
        images = (data.images_ICHW.float() / 255 - data.mean[0]) / data.std[0]
        logits = model(images)
    assert loss == pytest.approx(F.cross_entropy(logits, data.labels_I).item(), rel=1e-5)
    assert accuracy == pytest.approx((logits.argmax(1) == data.labels_I).float().mean().item())
