"""What a network may cost at most, to be trained at all: costs that are counted before anything is trained."""

from dataclasses import dataclass

from search_spaces.units import readable_flops


@dataclass(frozen=True, slots=True)
class CostLimits:
    """The most FLOPs of one image and the most parameters; None is no limit."""

    flops: float | None = None
    params: float | None = None

    def allow(self, flops: float, params: float) -> bool:
        """Whether a network of these costs may be trained."""
        return self.exceeded(flops, params) is None

    def exceeded(self, flops: float, params: float) -> str | None:
        """What a network exceeds of the limits; None where it is within them."""
        if self.flops is not None and flops > self.flops:
            return f"{flops:,.0f} FLOPs exceed the limit of {self.flops:,.0f}"
        if self.params is not None and params > self.params:
            return f"{params:,.0f} parameters exceed the limit of {self.params:,.0f}"
        return None

    def __str__(self) -> str:
        flops = [] if self.flops is None else [f"{readable_flops(self.flops)}"]
        params = [] if self.params is None else [f"{self.params:,.0f} parameters"]
        return " and ".join([*flops, *params]) or "none"


NO_LIMITS = CostLimits()
