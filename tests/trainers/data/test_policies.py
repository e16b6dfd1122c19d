"""RandAugment, TrivialAugment and AugMix: torchvision's own, each a function of the image and its draw."""

import numpy as np
import pytest
import torch
from PIL import Image

from trainers.data.policies import changed_batch, changed_image
from trainers.data.torchvision_import import torchvision
from trainers.recipe import POLICIES

CHANGING = [policy for policy in POLICIES if policy != "none"]


def picture(channels: int = 3, size: int = 24) -> torch.Tensor:
    return torch.randint(0, 256, (channels, size, size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.mark.parametrize("policy", CHANGING)
def test_a_policy_is_torchvisions_under_a_seed_and_leaves_torchs_random_state(policy: str) -> None:
    transforms = torchvision().transforms.v2
    name = {"rand_augment": "RandAugment", "trivial_augment": "TrivialAugmentWide", "aug_mix": "AugMix"}[policy]
    magnitude = {"magnitude": 12} if policy == "rand_augment" else {}
    theirs = getattr(transforms, name)(interpolation=transforms.InterpolationMode.BILINEAR, **magnitude)
    before = torch.random.get_rng_state()
    found = [changed_image(picture(), policy, 12, draw) for draw in (0.25, 0.75, 0.25)]
    assert torch.equal(torch.random.get_rng_state(), before)
    for image, draw in zip(found, (0.25, 0.75, 0.25), strict=True):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(draw * 2**53))
            assert torch.equal(image, theirs(picture()))


@pytest.mark.parametrize("policy", CHANGING)
@pytest.mark.parametrize("channels", [1, 3])
def test_each_image_of_a_batch_is_changed_by_its_own_draw(policy: str, channels: int) -> None:
    images = picture(channels).expand(40, -1, -1, -1)
    draws = np.random.default_rng(0).random(40)
    whole = changed_batch(images, policy, 9, draws)
    assert whole.dtype == torch.uint8 and whole.shape == images.shape
    assert sum(not torch.equal(image, picture(channels)) for image in whole) > 20
    assert torch.equal(whole[7:9], changed_batch(images[7:9], policy, 9, draws[7:9]))
    # Images that were cropped are not of whole values any more.
    assert torch.equal(changed_batch(images.float() + 0.3, policy, 9, draws), whole)


def test_a_picture_stays_a_picture() -> None:
    image = Image.fromarray(picture().permute(1, 2, 0).numpy())
    assert changed_image(image, "none", 9, 0.5) is image
    for policy in CHANGING:
        assert changed_image(image, policy, 9, 0.5).size == (24, 24)
