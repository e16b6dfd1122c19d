import torch

from tests.support.images import CPU
from trainers.data.images import MemoryImages


def test_memory_images_are_what_the_loop_reads() -> None:
    split = MemoryImages(
        torch.full((2, 1, 4, 4), 255, dtype=torch.uint8),
        torch.tensor([3, 4]),
        image_size=4,
        mean=(0.5,),
        std=(0.25,),
    )
    ((images, labels),) = split.batches([torch.tensor([1, 0])], CPU)
    assert torch.equal(images, torch.full((2, 1, 4, 4), 2.0)) and labels.tolist() == [4, 3]
