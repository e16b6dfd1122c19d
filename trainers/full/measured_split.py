"""The split that a full training is measured on at its end."""

from typing import TYPE_CHECKING

from trainers.data.datasets import load_test, load_train_validation
from trainers.full.plan import Plan

if TYPE_CHECKING:
    from trainers.data.images import Images


def measured_split(plan: Plan) -> "tuple[str, Images]":
    """The test split, or the validation split where there is no other."""
    if plan.summary.test_images > 0:
        return "test", load_test(plan.settings.data, plan.known_files)
    return "validation", load_train_validation(plan.settings.data, plan.known_files)[1]
