from nas.reporting.reference_models import is_near, reference_models
from trainers.data.config import DataSummary


def test_the_nine_models_cost_what_is_published() -> None:
    models = {model.name: model for model in reference_models(DataSummary("imagenet", 1000, 3, 224, 1, 1, 1))}
    assert len(models) == 9
    # Parameters of torchvision's resnet50; its 8.2 GFLOPs and the 18.0 M parameters of full attention are the paper's.
    assert models["resnet50"].params == 25_557_032 and round(models["resnet50"].flops / 1e9, 1) == 8.2
    assert round(models["resnet50-attention"].params / 1e6, 1) == 18.0
    flops = [model.flops for model in reference_models(DataSummary("digits", 10, 1, 16, 1, 1, 1))]
    assert flops == sorted(flops)


def test_near_is_within_a_factor_of_three() -> None:
    assert is_near([300.0], [10.0, 100.0]) and not is_near([301.0], [10.0, 100.0])
    assert is_near([4.0, 1000.0], [10.0]) and not is_near([3.0, 1000.0], [10.0])
    assert not is_near([1.0], [])
