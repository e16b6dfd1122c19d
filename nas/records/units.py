"""Costs and durations in the unit that fits, for people."""

from nas.records.objectives import CostName


def readable_flops(flops: float) -> str:
    """FLOPs in the unit that fits, three digits: `1.90 GFLOPs`."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if flops >= size:
            return f"{flops / size:.3g} {unit}FLOPs"
    return f"{flops:.3g} FLOPs"


def readable_cost(cost: float, name: CostName) -> str:
    """A cost with its unit, three digits: `1.90 GFLOPs` or `3.21 ms`."""
    return readable_flops(cost) if name == "flops" else f"{cost:.3g} ms"


def readable_duration(seconds: float) -> str:
    """A duration as `45 s`, `3 min 20 s` or `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
