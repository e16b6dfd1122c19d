"""Whose the memory of a GPU is: due to a process, or held by other programs, such as those that were left behind."""

from dataclasses import dataclass

# What CUDA itself takes for each of a few processes, and less than a tenth of what is due, are no other's.
CONTEXT_BYTES = 1_500_000_000
LEAST_OF_DUE = 0.9


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """The memory of a GPU, how much of it is free, and how much this process holds, in bytes."""

    total_bytes: int
    free_bytes: int
    own_bytes: int = 0

    def text_of_others(self, share: float = 1.0) -> str | None:
        """How much other programs hold, for people, of what is due to a process that may take `share` of it, of 1.

        None where they hold little of that.
        """
        if self.free_bytes + self.own_bytes + CONTEXT_BYTES >= LEAST_OF_DUE * share * self.total_bytes:
            return None
        others_bytes = self.total_bytes - self.free_bytes - self.own_bytes
        return f"other programs hold {others_bytes / 1e9:.1f} of {self.total_bytes / 1e9:.1f} GB"
