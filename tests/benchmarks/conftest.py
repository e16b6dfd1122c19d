"""Settings of the tests of benchmarks."""

from tests.support.one_thread import one_thread

__all__ = ["one_thread"]
