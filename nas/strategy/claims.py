"""Workers that know of each other only what they have written down, and yet choose different things."""

from collections.abc import Callable, Collection, Sequence

from nas.strategy.candidates import Candidate


def claim(
    number: int,
    propose: Callable[[Sequence[Candidate]], Candidate | None],
    publish: Callable[[Candidate | None], None],
    holders: Callable[[Candidate], Collection[int]],
) -> Candidate | None:
    """A candidate that no other worker holds, published as what worker `number` tries. None where there is no more.

    `propose` gives the best candidate beyond those that it gets; `publish` writes what this worker holds, None where
    that is nothing; `holders` reads the numbers of the others that have published a candidate.

    Whoever finds its candidate with another gives it up, both where both find it. So no two ever keep the same: of two
    that keep their last, one wrote later, and read the other's after that. The first of those that give up takes the
    next candidate, the second the one after that, and so on. Nothing is claimed twice, so that it ends, and nobody
    waits for a worker that may have died.
    """
    passed: list[Candidate] = []
    left_to_others = 0
    while (candidate := propose(passed)) is not None:
        passed.append(candidate)
        if left_to_others:
            left_to_others -= 1
            continue
        publish(candidate)
        rivals = holders(candidate)
        if not rivals:
            return candidate
        left_to_others = sum(rival < number for rival in rivals)
    if passed:
        publish(None)
    return None
