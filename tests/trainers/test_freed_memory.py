"""Memory that was freed is taken again without the kernel's help."""

import subprocess
import sys

# A process of its own, as a training has: what tests have left in this one's heap is in the way.
PROGRAM = """
import resource
import torch
from trainers.freed_memory import keep_freed_memory

def page_faults_of_a_large_tensor():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)  # 64 MiB, more than glibc keeps of its own accord.
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

least = min(page_faults_of_a_large_tensor() for _ in range(10))
keep_freed_memory(torch.device("cpu"))
print(least, min(page_faults_of_a_large_tensor() for _ in range(10)))
"""


def test_a_large_tensor_that_was_freed_costs_no_page_faults_again() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=120)
    before, after = map(int, done.stdout.split())
    # Of its 16,384 pages. The first few tensors find their place beside each other.
    assert before >= 16_384 and after < 1000
