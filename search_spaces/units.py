"""Counts and durations in the unit that fits, for people."""

import re

_UNITS = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


def count_of(text: str) -> float:
    """The number that a count stands for: `2M`, `1.5G`, `3e6`. Raises ValueError."""
    size = _UNITS.get(text[-1:], 1.0)
    return float(text[:-1] if text[-1:] in _UNITS else text) * size


def near_count(text: str) -> str | None:
    """The count that may be meant by a text that is none, as `2M` by `2m`, `2 MFLOPs` and `2MB`; None without one."""
    form = r"(\d+\.?\d*|\.\d+)\s*([kmgt])(b|flops?|params?|illion)?"
    found = re.fullmatch(form, text, re.ASCII | re.IGNORECASE)
    if found is None:
        return None
    unit = found[2].lower()
    return found[1] + (unit if unit in _UNITS else unit.upper())


def readable_count(number: float) -> str:
    """A count, three digits: `1.9 G`, `345 k`, `12`."""
    value, unit = _scaled(number)
    return f"{value} {unit}".rstrip()


def counted(number: int, noun: str, nouns: str | None = None) -> str:
    """So many of them: `1 epoch`, `1,200 epochs`; with `nouns` for more than one, `2 processes`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {nouns or f'{noun}s'}"


def readable_flops(flops: float) -> str:
    """FLOPs, three digits: `1.9 GFLOPs`."""
    value, unit = _scaled(flops)
    return f"{value} {unit}FLOPs"


def readable_duration(seconds: float) -> str:
    """A duration: `4.2 s`, `45 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 10:
        return f"{seconds:.1f} s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _scaled(number: float) -> tuple[str, str]:
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}", unit
    return f"{number:.3g}", ""
