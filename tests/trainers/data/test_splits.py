from collections import Counter

from trainers.data.splits import stratified_split


def test_splits_are_stratified_disjoint_and_fixed() -> None:
    labels = [0] * 40 + [1] * 10 + [2] * 2 + [3]
    kept, taken = stratified_split(labels, 0.25, "a")
    assert sorted(kept + taken) == list(range(53)) and kept == sorted(kept) and taken == sorted(taken)
    assert Counter(labels[index] for index in taken) == {0: 10, 1: 2, 2: 1}
    assert stratified_split(labels, 0.25, "a") == (kept, taken)
    assert stratified_split(labels, 0.25, "b") != (kept, taken)
    # Written down, so that a library or a version that changed the split would be seen.
    assert stratified_split([0] * 10, 0.3, "validation 0")[1] == [2, 6, 9]
