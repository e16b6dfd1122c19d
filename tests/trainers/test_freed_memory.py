"""Memory that was freed is taken again without the kernel's help."""

import resource

import torch

from trainers.freed_memory import keep_freed_memory


def _page_faults_of_a_large_tensor() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)  # 64 MiB, more than glibc keeps of its own accord.
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_a_large_tensor_that_was_freed_costs_no_page_faults_again() -> None:
    keep_freed_memory(torch.device("cpu"))
    # Of its 16,384 pages. The first few find their place beside each other.
    assert min(_page_faults_of_a_large_tensor() for _ in range(10)) < 1000
