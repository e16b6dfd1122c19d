"""Stratified splits that depend on nothing but the labels, the fraction and the seed."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence


def stratified_split(labels: Sequence[int], fraction: float, seed: str) -> tuple[list[int], list[int]]:
    """The indices that stay and those split off, both ascending.

    Of each class round(fraction · count) indices are split off, at least one and never all, so a class needs two
    samples (a class of one stays whole). Samples are ordered by a hash of seed and index, so that no library's random
    generator, nor its version, has a part in it.
    """
    of_class: dict[int, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        of_class[label].append(index)
    kept: list[int] = []
    taken: list[int] = []
    for members in of_class.values():
        members.sort(key=lambda index: hashlib.sha256(f"{seed}:{index}".encode()).digest())
        count = max(min(round(fraction * len(members)), len(members) - 1), min(1, len(members) - 1))
        taken += members[:count]
        kept += members[count:]
    return sorted(kept), sorted(taken)


def split_validation(labels: Sequence[int], fraction: float, split_seed: int) -> tuple[list[int], list[int]]:
    """The stratified train and validation indices of a training split."""
    return stratified_split(labels, fraction, f"validation {split_seed}")
