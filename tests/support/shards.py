"""Tar files of images for tests."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image


def picture(number: int, side: int = 20) -> bytes:
    """A PNG of random pixels, others for each number."""
    pixels = np.random.default_rng(number).integers(0, 256, (side, side + 4, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def write_shard(path: Path, members: Mapping[str, bytes] | list[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items() if isinstance(members, Mapping) else members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def write_shards(root: Path, stem: str = "train", count: int = 3, each: int = 8, first: int = 0) -> Path:
    """Shards of `each` images of two classes in turn, in folders of their names."""
    for number in range(count):
        places = range(first + number * each, first + (number + 1) * each)
        images = {f"{('cat', 'dog')[place % 2]}/{place:05d}.png": picture(place) for place in places}
        write_shard(root / f"{stem}-{number:03d}.tar", images)
    return root
